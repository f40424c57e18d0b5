# SPDX-License-Identifier: Apache-2.0
# For toolchain files: packages and headers may be the host's, since those that are used have no compiled part.
# Libraries are the target's, programs the host's.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

# Debian has xsimd's package file in the folder of the host's architecture, where it is not looked for.
if(NOT xsimd_DIR AND NOT xsimd_ROOT)
  file(GLOB pocketllm_host_xsimd LIST_DIRECTORIES ON /usr/lib/*/cmake/xsimd)
  if(pocketllm_host_xsimd)
    list(GET pocketllm_host_xsimd 0 xsimd_DIR)
  endif()
endif()
