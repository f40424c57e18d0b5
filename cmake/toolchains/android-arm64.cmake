# SPDX-License-Identifier: Apache-2.0
# Android's own compilers, for phones of 64 bits: the NDK's toolchain file with what pocketllm is built with.
if(NOT DEFINED POCKETLLM_NDK)
  foreach(folder "$ENV{ANDROID_NDK_HOME}" "$ENV{ANDROID_NDK_ROOT}" "$ENV{ANDROID_NDK}")
    if(EXISTS "${folder}/build/cmake/android.toolchain.cmake")
      set(POCKETLLM_NDK "${folder}" CACHE PATH "Android's NDK")
      break()
    endif()
  endforeach()
endif()
if(NOT EXISTS "${POCKETLLM_NDK}/build/cmake/android.toolchain.cmake")
  message(FATAL_ERROR "There is no Android NDK. Download it from https://developer.android.com/ndk/downloads and set "
    "ANDROID_NDK_HOME to its folder (the one that has build/cmake/android.toolchain.cmake in it). To do without it, "
    "use the preset phone-static.")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES POCKETLLM_NDK)
set(ANDROID_ABI arm64-v8a)
set(ANDROID_PLATFORM android-28) # the first with everything that C++20's library asks of the system
set(ANDROID_STL c++_static)      # a program on its own has no library to load
include(${POCKETLLM_NDK}/build/cmake/android.toolchain.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/host-packages.cmake)
