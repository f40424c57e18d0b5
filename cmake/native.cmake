# SPDX-License-Identifier: Apache-2.0
# Sets pocketllm_native_flag to the option that builds for the processor of this machine. On x86 it is
# -march=native; elsewhere -mcpu=native comes first, the only one that every clang for AArch64 takes.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-mcpu=native POCKETLLM_HAS_MCPU_NATIVE)
check_cxx_compiler_flag(-march=native POCKETLLM_HAS_MARCH_NATIVE)
set(pocketllm_native_flag "")
if(POCKETLLM_HAS_MCPU_NATIVE AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i[3-6]86")
  set(pocketllm_native_flag -mcpu=native)
elseif(POCKETLLM_HAS_MARCH_NATIVE)
  set(pocketllm_native_flag -march=native)
else()
  message(STATUS "pocketllm: the compiler has no option for this machine's processor; POCKETLLM_NATIVE has no effect")
endif()
