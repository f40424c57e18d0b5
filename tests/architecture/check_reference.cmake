# SPDX-License-Identifier: Apache-2.0
# cmake -D DOXYGEN=doxygen -D SOURCE_DIR=... -D WORK_DIR=... -P check_reference.cmake
# Makes the reference of the interface and fails on a public class or concept without documentation, and on what doxygen
# does not understand. Members may speak for themselves.
cmake_minimum_required(VERSION 3.25)
file(READ ${SOURCE_DIR}/cmake/Doxyfile settings)
file(WRITE ${WORK_DIR}/Doxyfile "${settings}\nOUTPUT_DIRECTORY = ${WORK_DIR}\n")
execute_process(COMMAND ${DOXYGEN} ${WORK_DIR}/Doxyfile WORKING_DIRECTORY ${SOURCE_DIR}
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE text)
string(REPLACE ";" "," text "${text}")
string(REPLACE "\n" ";" lines "${text}")
list(FILTER lines INCLUDE REGEX "(warning|error):")
list(FILTER lines EXCLUDE REGEX "Member .* is not documented")
foreach(line ${lines})
  message(SEND_ERROR "${line}")
endforeach()
if(NOT result EQUAL 0 OR NOT EXISTS ${WORK_DIR}/html/index.html)
  message(FATAL_ERROR "${DOXYGEN} made no reference: ${text}")
endif()
