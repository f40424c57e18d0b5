# SPDX-License-Identifier: Apache-2.0
# For AArch64 Linux from another machine: Debian's cross compiler, and QEMU to run what it makes. The processor that is
# emulated is chosen when tests run, by QEMU_CPU in the environment. `cmake/install-deps.sh` installs both.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

find_program(POCKETLLM_AARCH64_COMPILER NAMES aarch64-linux-gnu-g++ aarch64-linux-gnu-g++-14 aarch64-linux-gnu-g++-12)
find_program(POCKETLLM_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(POCKETLLM_AARCH64_COMPILER POCKETLLM_QEMU_AARCH64)
if(NOT POCKETLLM_AARCH64_COMPILER OR NOT POCKETLLM_QEMU_AARCH64)
  message(FATAL_ERROR "There is no compiler for AArch64 (aarch64-linux-gnu-g++), or no qemu-aarch64 to run what it "
    "makes. Install both with: cmake/install-deps.sh")
endif()
if(NOT CMAKE_CXX_COMPILER)
  set(CMAKE_CXX_COMPILER ${POCKETLLM_AARCH64_COMPILER})
endif()
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu) # for clang, which makes code for any machine
set(CMAKE_CROSSCOMPILING_EMULATOR ${POCKETLLM_QEMU_AARCH64} -L /usr/aarch64-linux-gnu)

set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/host-packages.cmake)
