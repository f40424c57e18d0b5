# SPDX-License-Identifier: Apache-2.0
# pocketllm_link_dispatch(target): links kernels that are compiled once for all programs. One program for any x86-64
# processor then uses AVX2 or AVX-512 where the machine has it; of AArch64 there is one level, and what is gained is time
# to compile. On other processors it does nothing; there the target's own options choose. Used by our own build
# and, through the package's config file, by those of an installed copy.
function(pocketllm_link_dispatch target)
  set(processor "${CMAKE_SYSTEM_PROCESSOR}")
  if(CMAKE_OSX_ARCHITECTURES) # of a Mac, which builds for the other one too, or for both: then nothing is linked
    set(processor "${CMAKE_OSX_ARCHITECTURES}")
  endif()
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  elseif(processor MATCHES "^(x86_64|AMD64)$")
    set(levels Baseline Avx2 Avx512)
  elseif(processor MATCHES "^(aarch64|arm64)$")
    set(levels Baseline)
  else()
    return()
  endif()
  if(NOT TARGET pocketllm_dispatch)
    # In this order: a function that two objects have is taken from the first, which runs on more machines. For the
    # same reason it is a library, which linkers search behind the program's own objects.
    add_library(pocketllm_dispatch STATIC)
    foreach(level ${levels})
      add_library(pocketllm_kernels_${level} OBJECT ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/dispatch/kernels.cpp)
      target_link_libraries(pocketllm_kernels_${level} PRIVATE pocketllm::pocketllm)
      target_compile_definitions(pocketllm_kernels_${level} PRIVATE POCKETLLM_KERNELS=${level}Level)
      # xsimd 8's shifts for AVX-512 do not compile without optimisation.
      target_compile_options(pocketllm_kernels_${level} PRIVATE
        $<$<NOT:$<CONFIG:Release,RelWithDebInfo,MinSizeRel>>:-O2>)
      set_target_properties(pocketllm_kernels_${level} PROPERTIES POSITION_INDEPENDENT_CODE ON)
      target_sources(pocketllm_dispatch PRIVATE $<TARGET_OBJECTS:pocketllm_kernels_${level}>)
    endforeach()
    if(Avx512 IN_LIST levels)
      # -march also takes back what CMAKE_CXX_FLAGS may say, such as -march=native.
      target_compile_options(pocketllm_kernels_Baseline PRIVATE -march=x86-64)
      target_compile_options(pocketllm_kernels_Avx2 PRIVATE -march=x86-64 -mavx2 -mfma -mf16c)
      target_compile_options(pocketllm_kernels_Avx512 PRIVATE -march=x86-64
        -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mavx2 -mfma -mf16c)
      if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        # GCC 12 warns about its own AVX-512 intrinsics wherever they are inlined (GCC bug 105593, mended in 13).
        target_compile_options(pocketllm_kernels_Avx512 PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
      endif()
    endif()
    set_target_properties(pocketllm_dispatch PROPERTIES LINKER_LANGUAGE CXX)
  endif()
  target_compile_definitions(${target} PRIVATE POCKETLLM_DISPATCH)
  target_link_libraries(${target} PRIVATE pocketllm_dispatch)
endfunction()
