# SPDX-License-Identifier: Apache-2.0
# cmake -D DOXYGEN=doxygen -D SOURCE_DIR=... -D WORK_DIR=... -P check_reference.cmake
# Makes the reference of the interface and fails on what is public and has no documentation, on a folder whose namespace
# has none (doxygen then leaves out its functions and says nothing), and on what doxygen does not understand. Only what
# means the same in every class need not be documented: copying, moving and destroying it, comparing it by ==, and
# visit(self, f) and parameters(self, f), which HasTensors (tensor/visit.hpp) and Part (train/part.hpp) describe.
cmake_minimum_required(VERSION 3.25)
file(READ ${SOURCE_DIR}/cmake/Doxyfile settings)
file(WRITE ${WORK_DIR}/Doxyfile "${settings}\nOUTPUT_DIRECTORY = ${WORK_DIR}\n")
execute_process(COMMAND ${DOXYGEN} ${WORK_DIR}/Doxyfile WORKING_DIRECTORY ${SOURCE_DIR}
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE text)
string(REPLACE ";" "," text "${text}")
string(REPLACE "\n" ";" lines "${text}")
list(FILTER lines INCLUDE REGEX "(warning|error):")
list(FILTER lines EXCLUDE REGEX
  "Member (~[A-Za-z0-9_]+\\(|operator==?\\(|(visit|parameters)\\(Self &self, F &&f\\)).* is not documented")
foreach(line ${lines})
  # a constructor from another object of the class, which no regular expression of CMake can tell
  if(line MATCHES "Member ([A-Za-z0-9_]+)\\(([A-Za-z0-9_]+)(<[^()]*>)? (const &|&&)[a-z_]*\\).* is not documented"
      AND CMAKE_MATCH_1 STREQUAL CMAKE_MATCH_2)
    continue()
  endif()
  message(SEND_ERROR "${line}")
endforeach()
if(NOT result EQUAL 0 OR NOT EXISTS ${WORK_DIR}/html/index.html)
  message(FATAL_ERROR "${DOXYGEN} made no reference: ${text}")
endif()
file(GLOB folders RELATIVE ${SOURCE_DIR}/include/pocketllm LIST_DIRECTORIES true ${SOURCE_DIR}/include/pocketllm/*)
list(FILTER folders EXCLUDE REGEX "^core$|\\.") # core is in the namespace of all
foreach(folder ${folders})
  if(NOT EXISTS ${WORK_DIR}/html/namespacepocketllm_1_1${folder}.html)
    message(SEND_ERROR "namespace pocketllm::${folder} is not documented; add it to include/pocketllm/pocketllm.hpp")
  endif()
endforeach()
