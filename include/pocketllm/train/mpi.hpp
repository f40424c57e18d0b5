// SPDX-License-Identifier: Apache-2.0
// A team of MPI processes for data-parallel training: all hold the same weights, each evaluates micro-batches
// of its own, and what they tell each other in a step is a few losses. It needs an MPI library, and CMake's
// find_package(pocketllm COMPONENTS mpi) with the target pocketllm::mpi.
#pragma once

#include <pocketllm/core/hash.hpp>
#include <pocketllm/train/team.hpp>

#define OMPI_SKIP_MPICXX 1 // the C++ bindings, which MPI has withdrawn
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::train {

/// MPI from the beginning of its life to the end: one for the whole program, in main.
class MpiSession {
public:
  /// Only the thread that makes it may use MPI; the runtime's other threads do not.
  MpiSession(int& argc, char**& argv) {
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  }
  MpiSession(MpiSession const&) = delete;
  MpiSession& operator=(MpiSession const&) = delete;
  ~MpiSession() { MPI_Finalize(); }

  /// Ends all processes of the program at once: the others would wait forever for one that fails.
  [[noreturn]] static void abort(int status) {
    MPI_Abort(MPI_COMM_WORLD, status);
    __builtin_unreachable();
  }
};

/// The processes of a communicator, which must outlive it. When MPI fails, it ends the program, as is its
/// default.
class MpiTeam {
public:
  /// MPI must have begun: an MpiSession lives.
  explicit MpiTeam(MPI_Comm communicator = MPI_COMM_WORLD) : communicator_(communicator) {
    int rank = 0, size = 1;
    MPI_Comm_rank(communicator_, &rank);
    MPI_Comm_size(communicator_, &size);
    rank_ = static_cast<std::size_t>(rank);
    size_ = static_cast<std::size_t>(size);
  }

  /// The number of this process in the communicator, from 0.
  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  /// Number of processes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// All numbers are gathered and summed up by every process in the same order: what MPI's own reduction
  /// gives depends on the number of processes and their places.
  [[nodiscard]] std::vector<float> gather(std::span<float const> mine) const {
    std::vector<float> all(mine.size() * size_);
    int const count = static_cast<int>(mine.size());
    MPI_Allgather(mine.data(), count, MPI_FLOAT, all.data(), count, MPI_FLOAT, communicator_);
    return all;
  }

  /// Whether one of the processes asks; the same answer for all, which must all call it.
  [[nodiscard]] bool any(bool asks) const {
    int const mine = asks ? 1 : 0;
    int all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LOR, communicator_);
    return all != 0;
  }

  /// Whether all processes call it with the same text (a digest of their weights).
  [[nodiscard]] bool same(std::string_view text) const {
    std::uint64_t const mine = fnv1a(text);
    std::uint64_t least = 0, most = 0;
    MPI_Allreduce(&mine, &least, 1, MPI_UINT64_T, MPI_MIN, communicator_);
    MPI_Allreduce(&mine, &most, 1, MPI_UINT64_T, MPI_MAX, communicator_);
    return least == most;
  }

private:
  MPI_Comm communicator_;
  std::size_t rank_ = 0, size_ = 1;
};
static_assert(Team<MpiTeam>);

} // namespace pocketllm::train
