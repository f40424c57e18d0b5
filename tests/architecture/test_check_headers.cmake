# SPDX-License-Identifier: Apache-2.0
# cmake -D WORK_DIR=folder -P test_check_headers.cmake
# Plants includes in a small tree and sees that check_headers.cmake lets the right ones pass and catches the
# wrong ones, for the right reason.
cmake_minimum_required(VERSION 3.25)

# Checks a tree in which `header` has the line `line`; `expected` is a part of the message, or empty for none.
function(check header line expected)
  file(REMOVE_RECURSE ${WORK_DIR})
  file(WRITE ${WORK_DIR}/pocketllm/core/error.hpp "#pragma once\n#include <string>\n")
  file(WRITE ${WORK_DIR}/pocketllm/${header} "#pragma once\n${line}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -D INCLUDE_DIR=${WORK_DIR}
      -P ${CMAKE_CURRENT_LIST_DIR}/check_headers.cmake
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}") # messages are wrapped
  if(expected STREQUAL "")
    if(NOT result EQUAL 0)
      message(SEND_ERROR "${header}: ${line}: refused: ${output}")
    endif()
  elseif(result EQUAL 0)
    message(SEND_ERROR "${header}: ${line}: not caught")
  elseif(NOT output MATCHES "${expected}")
    message(SEND_ERROR "${header}: ${line}: expected '${expected}' in: ${output}")
  endif()
endfunction()

check(simd/a.hpp "#include <pocketllm/core/error.hpp>" "")
check(tensor/a.hpp "#include <pocketllm/core/error.hpp>" "")
check(io/a.hpp "#include <pocketllm/text/tokenizer.hpp>" "")
check(train/a.hpp "#include <pocketllm/models/roberta.hpp>" "")
check(train/a.hpp "#include <pocketllm/optimize/sgd.hpp>" "")
check(models/roberta/a.hpp "#include <pocketllm/layers/linear.hpp>" "")
check(pocketllm.hpp "#include <pocketllm/train/trainer.hpp>" "")

check(core/a.hpp "#include <pocketllm/simd/batch.hpp>" "core/a.hpp includes simd/batch.hpp")
check(models/a.hpp "#include <pocketllm/optimize/sgd.hpp>" "models/a.hpp includes optimize/sgd.hpp")
check(optimize/a.hpp "#include <pocketllm/models/roberta.hpp>" "optimize/a.hpp includes models/roberta.hpp")
check(text/a.hpp "  #  include <pocketllm/tensor/tensor.hpp>" "text/a.hpp includes tensor/tensor.hpp")
check(io/a.hpp "#include <pocketllm/layers/linear.hpp>" "io/a.hpp includes layers/linear.hpp")
check(models/deep/a.hpp "#include <pocketllm/io/load.hpp>" "models/deep/a.hpp includes io/load.hpp")
check(random/a.hpp "#include \"../tensor/tensor.hpp\"" "instead of quotes")
check(train/a.hpp "#include <pocketllm/pocketllm.hpp>" "not the umbrella")
check(misc/a.hpp "#include <string>" "folder misc has no place")
check(stray.hpp "#include <string>" "stray.hpp lies outside")

string(REPEAT "// a line\n" 300 long)
check(core/long.hpp "${long}" "core/long.hpp has 302 lines, more than 300")
check(core/table.hpp "// Made by tests/core/make_table.py.\n${long}" "")
