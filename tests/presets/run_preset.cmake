# SPDX-License-Identifier: Apache-2.0
# cmake -D SOURCE_DIR=... -D BINARY_DIR=... -D PRESET=... [-D OPTIONS=...] [-D TARGETS=...] [-D TESTS=regex] -P run_preset.cmake
# Configures a preset into a folder of its own, builds everything (or TARGETS) and runs the library's tests (or those
# that match TESTS). What other tests build (label `slow` and the like) is left out: it would be the same again.
cmake_minimum_required(VERSION 3.25)
include(ProcessorCount)
ProcessorCount(cores)
if(TARGETS)
  set(targets "--target ${TARGETS}")
endif()
if(TESTS)
  set(tests "-R ${TESTS}")
endif()

foreach(command
    "${CMAKE_COMMAND} --preset ${PRESET} -B ${BINARY_DIR} ${OPTIONS}"
    "${CMAKE_COMMAND} --build ${BINARY_DIR} --parallel ${cores} ${targets}"
    "${CMAKE_CTEST_COMMAND} --test-dir ${BINARY_DIR} --output-on-failure --no-tests=error --parallel ${cores} -LE slow|fuzz|package|headers ${tests}")
  separate_arguments(command UNIX_COMMAND "${command}")
  execute_process(COMMAND ${command} WORKING_DIRECTORY ${SOURCE_DIR} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
