# SPDX-License-Identifier: Apache-2.0
# The target pocketllm::mpi: pocketllm and an MPI library, for train/mpi.hpp. It is there if MPI is. Used by our own
# build and, through the package's config file, by find_package(pocketllm COMPONENTS mpi).
find_package(MPI QUIET COMPONENTS CXX)
if(MPI_CXX_FOUND AND NOT TARGET pocketllm::mpi)
  add_library(pocketllm::mpi INTERFACE IMPORTED)
  target_link_libraries(pocketllm::mpi INTERFACE pocketllm::pocketllm MPI::MPI_CXX)
endif()
