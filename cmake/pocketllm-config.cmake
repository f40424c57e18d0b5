# SPDX-License-Identifier: Apache-2.0
# Read by find_package(pocketllm CONFIG): finds what pocketllm::pocketllm links, then defines it.
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
if(DEFINED pocketllm_FOUND AND NOT pocketllm_FOUND)
  return()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/pocketllm-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/dispatch.cmake)
