# SPDX-License-Identifier: Apache-2.0
# The packages that pocketllm::pocketllm links: found here for our own build and, through the package's
# config file, for those who use an installed copy. With POCKETLLM_FETCH_DEPENDENCIES, what is not found is
# downloaded.
include(CMakeFindDependencyMacro)

# Downloads the sources at a tag and makes `target` of the headers in their folder `headers`. Their own build
# files are not used: they would add tests, warnings and install rules.
function(pocketllm_fetch target repository tag headers)
  include(FetchContent)
  string(MAKE_C_IDENTIFIER "pocketllm_${target}" name)
  string(TOLOWER ${name} name)
  message(STATUS "pocketllm: ${target} is not installed; using ${tag} of ${repository}")
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON
    SOURCE_SUBDIR no-build-files)
  FetchContent_MakeAvailable(${name})
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${${name}_SOURCE_DIR}/${headers})
endfunction()

# Stops our own build, saying what to do.
function(pocketllm_missing package)
  message(FATAL_ERROR "pocketllm needs ${package}, which was not found. Run cmake/install-deps.sh, or configure "
    "with -DPOCKETLLM_FETCH_DEPENDENCIES=ON (with presets: POCKETLLM_FETCH_DEPENDENCIES=ON in the environment).")
endfunction()

# Headers in /usr/include lie beside those of the host's C library, which a compiler for another machine must not see.
# Where it would not look there by itself, a folder of links has the libraries' alone.
function(pocketllm_isolate target)
  get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set(shared /usr/include /usr/local/include)
  if(NOT CMAKE_CROSSCOMPILING OR NOT folders IN_LIST shared OR folders IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    return()
  endif()
  set(links ${CMAKE_BINARY_DIR}/host-headers)
  file(MAKE_DIRECTORY ${links})
  foreach(library xsimd nlohmann CLI doctest Random123)
    if(EXISTS ${folders}/${library} AND NOT EXISTS ${links}/${library})
      file(CREATE_LINK ${folders}/${library} ${links}/${library} SYMBOLIC)
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${links})
endfunction()

# Finds a package of at least the version `minimum` that has `target`. The version is compared here because
# the packages' own version files refuse every other major version, and Eigen went from 3.4 to 5.0.
macro(pocketllm_dependency package target minimum repository tag headers)
  if(NOT TARGET ${target})
    if(CMAKE_FIND_PACKAGE_NAME STREQUAL "pocketllm" AND NOT POCKETLLM_FETCH_DEPENDENCIES)
      find_dependency(${package} CONFIG)
    else()
      find_package(${package} CONFIG QUIET)
    endif()
    if(NOT TARGET ${target} AND POCKETLLM_FETCH_DEPENDENCIES)
      pocketllm_fetch(${target} ${repository} ${tag} ${headers})
    elseif(NOT TARGET ${target})
      pocketllm_missing("${package} ${minimum}")
    elseif(${package}_VERSION VERSION_LESS ${minimum})
      message(FATAL_ERROR "pocketllm needs ${package} ${minimum} or newer; ${${package}_DIR} has ${${package}_VERSION}")
    endif()
    pocketllm_isolate(${target})
  endif()
endmacro()

# The tags are the versions of Debian 12, with which the tests run.
pocketllm_dependency(Eigen3 Eigen3::Eigen 3.4 https://gitlab.com/libeigen/eigen.git 3.4.0 .)
pocketllm_dependency(xsimd xsimd 8.0 https://github.com/xtensor-stack/xsimd.git 8.1.0 include)
pocketllm_dependency(nlohmann_json nlohmann_json::nlohmann_json 3.10
  https://github.com/nlohmann/json.git v3.11.2 include)
find_dependency(Threads)
if(NOT TARGET Threads::Threads)
  pocketllm_missing("the system's threads")
endif()

# Debian's xsimd 8 names the target xtl, which its config does not find and the headers do not need.
get_target_property(pocketllm_xsimd_links xsimd INTERFACE_LINK_LIBRARIES)
if("xtl" IN_LIST pocketllm_xsimd_links AND NOT TARGET xtl)
  list(REMOVE_ITEM pocketllm_xsimd_links xtl)
  set_target_properties(xsimd PROPERTIES INTERFACE_LINK_LIBRARIES "${pocketllm_xsimd_links}")
endif()
unset(pocketllm_xsimd_links)
