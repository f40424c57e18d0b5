# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` installs: the headers, the package for find_package(pocketllm CONFIG), the licence.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Nothing is compiled, so that it is shared by all architectures, whose libraries may have folders of their own.
set(pocketllm_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/pocketllm)
# Until 1.0 a minor version may break users, so 0.2 does not stand in for 0.1.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pocketllm-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

install(TARGETS pocketllm EXPORT pocketllm-targets FILE_SET HEADERS)
install(EXPORT pocketllm-targets NAMESPACE pocketllm:: DESTINATION ${pocketllm_package_dir})
install(FILES cmake/pocketllm-config.cmake cmake/dependencies.cmake cmake/dispatch.cmake cmake/mpi.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/pocketllm-config-version.cmake DESTINATION ${pocketllm_package_dir})
install(DIRECTORY cmake/dispatch DESTINATION ${pocketllm_package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# For pkg-config. Its folder is written relative to the file, so that what is installed can be moved.
set(pocketllm_pc_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${pocketllm_pc_dir}
  OUTPUT_VARIABLE pocketllm_prefix)
configure_file(cmake/pocketllm.pc.in ${CMAKE_CURRENT_BINARY_DIR}/pocketllm.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pocketllm.pc DESTINATION ${pocketllm_pc_dir})

# `cpack` makes a .deb of it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libpocketllm-dev)
set(CPACK_PACKAGE_CONTACT "the authors of pocketllm")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DESCRIPTION "A header-only C++20 library: zeroth-order training (MeZO and its successors) of RoBERTa, BERT and OPT \
with about the memory of inference, in text classification, question answering and sentence similarity. \
CMake finds it as pocketllm::pocketllm, pkg-config as pocketllm.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4), libxsimd-dev (>= 8.0), nlohmann-json3-dev (>= 3.10)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libopenmpi-dev, pkg-config") # for pocketllm::mpi, and without CMake
# Debian's rules want the licence here, by name.
configure_file(cmake/debian-copyright ${CMAKE_CURRENT_BINARY_DIR}/debian/copyright COPYONLY)
set(CPACK_INSTALLED_DIRECTORIES ${CMAKE_CURRENT_BINARY_DIR}/debian usr/share/doc/${CPACK_PACKAGE_NAME})
include(CPack)
