# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` installs: the headers, the package for find_package(pocketllm CONFIG), the licence.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pocketllm_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pocketllm)
# Until 1.0 a minor version may break users, so 0.2 does not stand in for 0.1. Nothing is compiled, so one
# package serves every architecture.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pocketllm-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

install(TARGETS pocketllm EXPORT pocketllm-targets FILE_SET HEADERS)
install(EXPORT pocketllm-targets NAMESPACE pocketllm:: DESTINATION ${pocketllm_package_dir})
install(FILES cmake/pocketllm-config.cmake cmake/dependencies.cmake cmake/dispatch.cmake cmake/mpi.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/pocketllm-config-version.cmake DESTINATION ${pocketllm_package_dir})
install(DIRECTORY cmake/dispatch DESTINATION ${pocketllm_package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
