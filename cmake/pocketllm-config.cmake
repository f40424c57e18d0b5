# SPDX-License-Identifier: Apache-2.0
# Read by find_package(pocketllm CONFIG): finds what pocketllm::pocketllm links, then defines it.
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
if(DEFINED pocketllm_FOUND AND NOT pocketllm_FOUND)
  return()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/pocketllm-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/dispatch.cmake)

foreach(component ${pocketllm_FIND_COMPONENTS})
  if(component STREQUAL "mpi")
    include(${CMAKE_CURRENT_LIST_DIR}/mpi.cmake)
    set(pocketllm_mpi_FOUND ${MPI_CXX_FOUND})
  endif()
  if(pocketllm_FIND_REQUIRED_${component} AND NOT pocketllm_${component}_FOUND)
    set(pocketllm_FOUND FALSE)
    set(pocketllm_NOT_FOUND_MESSAGE "The component ${component} is not there; the one that pocketllm has is mpi, and it needs an MPI library (Debian: libopenmpi-dev).")
  endif()
endforeach()
