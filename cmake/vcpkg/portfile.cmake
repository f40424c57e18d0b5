# SPDX-License-Identifier: Apache-2.0
# A port of vcpkg, of this working tree: vcpkg install pocketllm --overlay-ports=cmake/vcpkg --no-binarycaching
# (vcpkg's cache of built packages knows a port by its own folder alone and would not notice what changes outside).
set(VCPKG_BUILD_TYPE release) # nothing is compiled
get_filename_component(source "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
vcpkg_cmake_configure(SOURCE_PATH "${source}"
  OPTIONS -DPOCKETLLM_BUILD_TESTS=OFF -DPOCKETLLM_BUILD_EXAMPLES=OFF -DPOCKETLLM_BUILD_BENCHMARKS=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/pocketllm)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${source}/LICENSE")
