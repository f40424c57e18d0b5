# SPDX-License-Identifier: Apache-2.0
# cmake -D BUILD_DIR=... -D PREFIX=... -P install.cmake
# Installs into an empty folder and then moves it, for an installed package must not know where it was put.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${PREFIX} ${PREFIX}.before)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${PREFIX}.before COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${PREFIX}.before ${PREFIX})

file(GLOB_RECURSE licence ${PREFIX}/share/doc/*/LICENSE)
if(NOT licence)
  message(FATAL_ERROR "${PREFIX}: LICENSE is not installed")
endif()
