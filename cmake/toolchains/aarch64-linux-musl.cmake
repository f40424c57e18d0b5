# SPDX-License-Identifier: Apache-2.0
# Programs for AArch64 that need nothing but a Linux kernel, so that they run on any Android phone: zig's C++ compiler with
# the musl C library, linked statically. `pip install ziglang` brings the compiler; POCKETLLM_ZIG names another one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

if(NOT POCKETLLM_ZIG)
  find_program(POCKETLLM_ZIG zig DOC "zig, of https://ziglang.org or PyPI's ziglang")
endif()
if(NOT POCKETLLM_ZIG)
  find_program(POCKETLLM_PYTHON NAMES python3 python)
  mark_as_advanced(POCKETLLM_PYTHON)
  if(POCKETLLM_PYTHON)
    execute_process(COMMAND ${POCKETLLM_PYTHON} -c "import ziglang; print(ziglang.__path__[0])"
      OUTPUT_VARIABLE pocketllm_ziglang OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    find_program(POCKETLLM_ZIG zig PATHS "${pocketllm_ziglang}" NO_DEFAULT_PATH)
  endif()
endif()
if(NOT POCKETLLM_ZIG)
  message(FATAL_ERROR "There is no zig to compile with. Install it with `pip install ziglang`, or name it with "
    "-DPOCKETLLM_ZIG=/path/to/zig")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES POCKETLLM_ZIG)
set(CMAKE_CXX_COMPILER ${POCKETLLM_ZIG} c++)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-musl)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -s")

find_program(POCKETLLM_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(POCKETLLM_QEMU_AARCH64)
if(POCKETLLM_QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${POCKETLLM_QEMU_AARCH64})
endif()
include(${CMAKE_CURRENT_LIST_DIR}/host-packages.cmake)
