// SPDX-License-Identifier: Apache-2.0
// Writing a journal so that a crash at any instant costs a few seconds of work and nothing else.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_file.hpp>
#include <pocketllm/io/journal_format.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/io/output_file.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// When records leave the program's memory. What a step took to compute counts, not what came after it: of a
/// run that pauses behind a step, nothing older than these times is lost. A few bytes are written much faster
/// than a step is made; waiting for the disk may take as long as one.
struct SyncPolicy {
  double write_seconds = 0.1;   ///< work that is lost at most when the process is killed
  double sync_seconds = 5.0;    ///< work that is lost at most when the power goes
  std::uint64_t sync_steps = 0; ///< wait for the disk after so many steps, too; 0 for no such limit
};

/// How a journal is continued.
struct ResumeOptions {
  SyncPolicy policy = {}; ///< of the writer that goes on
  /// Cut a file that is damaged in its middle, too. All steps from there on have to be made again.
  bool accept_damage = false;
};

/// Appends to a journal. One program at a time may write one; `path` may be a link to it.
class JournalWriter {
public:
  struct Resumed;

  /// A new journal. Its header is on the disk when this returns. Throws Error when there is a file of that
  /// name, when the header cannot be written as JSON, or when the file cannot be written.
  [[nodiscard]] static JournalWriter create(std::filesystem::path const& path, JournalHeader const& header,
                                            SyncPolicy const& policy = {}) {
    std::string const text = to_text(header.json(), path.string() + ": header", 2) + "\n";
    require(text.size() <= journal::largest_header_text, path.string(), ": the header has ", text.size(),
            " bytes, more than ", journal::largest_header_text, "; use digests of what is long");
    require(parse_object(text, "journal header") == header.json(), path.string(),
            ": the header has a number that JSON cannot hold (infinite, or none)");
    std::vector<std::byte> const bytes = journal::encode_header(text);
    JournalWriter writer(LockedFile::create(path, bytes), header, policy);
    writer.synced_ = bytes.size();
    writer.checksum_ = journal::stored_checksum(bytes);
    writer.next_step_ = header.first_step();
    return writer;
  }

  /// Goes on with a journal: reads it, and cuts off what was not written in full. Throws Error, with the file
  /// as it was, when it is of another run than `expected` (naming what differs), when another program writes
  /// it, when it is damaged and the options do not accept that, and as `Journal` does.
  [[nodiscard]] static Resumed resume(std::filesystem::path const& path, JournalHeader const& expected,
                                      ResumeOptions const& options = {});

  JournalWriter(JournalWriter&&) = default;
  JournalWriter& operator=(JournalWriter&&) = delete;
  /// Writes what is left, and says nothing when that fails; call `flush` or `finish` to know.
  ~JournalWriter() {
    try {
      flush();
    } catch (Error const&) { // the steps that are lost will be made again
    }
  }

  /// Absolute, with links followed.
  [[nodiscard]] std::filesystem::path const& path() const noexcept { return file_.path(); }
  /// The earliest step that may come next.
  [[nodiscard]] std::uint64_t next_step() const noexcept { return next_step_; }

  /// Appends a step. `gradient` is a range of {seed, slope}, at most as many as the header's "slopes"; where
  /// the seeds follow a rule, slopes that are left out at the end are zero. Throws Error, with nothing
  /// appended, when the step does not come behind the last one or more than 255 are left out, when a seed is
  /// not that of the header's rule, or when a slope or the rate is not a finite number. Throws Error when the
  /// file cannot be written, see `flush`.
  template <class Gradient>
  void append(std::uint64_t step, float learning_rate, float loss, Gradient const& gradient) {
    slopes_.clear();
    seeds_.clear();
    for (auto const& direction : gradient) {
      slopes_.push_back(direction.slope);
      seeds_.push_back(direction.seed);
    }
    while (!header_.stores_seeds() && !slopes_.empty() && slopes_.size() < header_.layout().slopes) {
      seeds_.push_back(header_.seed(step, slopes_.size()));
      slopes_.push_back(0.0F);
    }
    check_step(step, learning_rate);
    checksum_ = journal::append_step(pending_, header_.layout(), static_cast<std::uint8_t>(step - next_step_),
                                     learning_rate, loss, slopes_, seeds_, checksum_);
    next_step_ = step + 1;
    ++unsynced_steps_;
    write_if_due();
  }

  /// Appends a note, a JSON object whose members say what it is about. Throws Error when it is too long (3 kB
  /// at one slope a step, 16 kB at most) or cannot be written as JSON, and when the file cannot be written.
  void note(Json const& json) {
    std::string const text = to_text(json, path().string() + ": note", -1);
    std::size_t const most = header_.layout().message_bytes();
    require(json.is_object() && text.size() <= most, path().string(),
            ": a note must be a JSON object of at most ", most, " bytes, found ", json.type_name(), " of ",
            text.size());
    checksum_ = journal::append_message(pending_, header_.layout(), journal::note_kind, text, checksum_);
    write_if_due();
  }

  /// Notes how the run ended and waits until all is on the disk.
  void finish(Closing const& closing) {
    note(closing.json());
    flush();
  }

  /// Waits until all records are on the disk. Throws Error that names the file, the reason and what to do
  /// when the system refuses. Then the file ends with a good record, all records that had been flushed before
  /// are in it, and the others are kept in memory: the next call that writes tries again.
  void flush() {
    write();
    if (pending_.empty()) {
      return;
    }
    if (!file_.sync()) {
      int const reason = errno;
      // The system may have dropped any of these bytes, or may say next time that all went well.
      static_cast<void>(file_.cut(synced_));
      written_ = 0;
      fail(path().string(), ": cannot be written to the disk: ", error_text(reason), write_advice(reason),
           kept);
    }
    synced_ += pending_.size();
    pending_.clear();
    written_ = 0;
    unsynced_steps_ = 0;
    last_sync_ = Clock::now();
  }

private:
  using Clock = std::chrono::steady_clock;

  static constexpr char const* kept =
      "; the steps written before are kept, resume the run to go on from them";

  JournalWriter(LockedFile file, JournalHeader header, SyncPolicy const& policy)
      : file_(std::move(file)), header_(std::move(header)), policy_(policy) {}

  [[nodiscard]] static std::string to_text(Json const& json, std::string const& place, int indent) {
    try {
      return json.dump(indent);
    } catch (Json::exception const&) { // dump checks the encoding of strings, and nothing else can fail
      fail(place, ": has text that is not UTF-8, as JSON requires");
    }
  }

  void check_step(std::uint64_t step, float learning_rate) const {
    std::string const place = path().string();
    std::size_t const count = header_.layout().slopes;
    require(slopes_.size() == count, place, ": step ", step, " has ", slopes_.size(), " slopes, expected ",
            count, " as the header says");
    require(step >= next_step_, place, ": step ", step, " comes behind step ", next_step_ - 1,
            "; steps must be appended in their order");
    require(step - next_step_ <= journal::most_skipped, place, ": step ", step, " comes where ", next_step_,
            " is expected; at most ", journal::most_skipped, " steps may be left out, begin a new journal");
    bool const finite = std::isfinite(learning_rate) &&
                        std::all_of(slopes_.begin(), slopes_.end(), [](float x) { return std::isfinite(x); });
    require(finite, place, ": step ", step,
            " has a slope or a rate that is not a finite number; leave it out");
    for (std::size_t k = 0; !header_.stores_seeds() && k < count; ++k) {
      require(seeds_[k] == header_.seed(step, k), place, ": slope ", k, " of step ", step,
              " has another seed than the header's rule gives; have the header say {\"rule\": \"stored\"}");
    }
  }

  void write_if_due() {
    Clock::time_point const now = Clock::now();
    std::chrono::duration<double> const since_write = now - last_write_;
    std::chrono::duration<double> const since_sync = now - last_sync_;
    bool const many = policy_.sync_steps != 0 && unsynced_steps_ >= policy_.sync_steps;
    if (many || since_sync.count() >= policy_.sync_seconds || pending_.size() >= journal::most_unsynced) {
      flush();
    } else if (since_write.count() >= policy_.write_seconds) {
      write();
    }
  }

  /// Hands all records to the system, which keeps them when the process is killed.
  void write() {
    std::span<std::byte const> const rest = std::span<std::byte const>(pending_).subspan(written_);
    std::size_t const done = file_.write(synced_ + written_, rest);
    int const reason = errno;
    written_ += done;
    if (done != rest.size()) {
      written_ -= written_ % header_.layout().record_bytes();
      static_cast<void>(file_.cut(synced_ + written_)); // if it cannot be, the reader cuts it
      fail(path().string(), ": cannot be written: ", error_text(reason), write_advice(reason), kept);
    }
    last_write_ = Clock::now();
  }

  LockedFile file_;
  JournalHeader header_;
  SyncPolicy policy_;
  std::vector<std::byte> pending_; ///< records that are not on the disk yet, as far as is known
  std::size_t written_ = 0;        ///< bytes of them that the system has
  std::uint64_t synced_ = 0;       ///< bytes of the file that are on the disk
  std::uint32_t checksum_ = 0;     ///< of the last record
  std::uint64_t next_step_ = 0;
  std::uint64_t unsynced_steps_ = 0;
  Clock::time_point last_write_ = Clock::now();
  Clock::time_point last_sync_ = last_write_;
  std::vector<float> slopes_; ///< of the step being appended
  std::vector<std::uint64_t> seeds_;
};

/// A journal to go on with, and what it holds so far. `journal.tail_text()` says what was cut off.
struct JournalWriter::Resumed {
  JournalWriter writer; ///< appends behind the last record that is kept
  Journal journal;      ///< as read before the cut; its tail is what was cut off
};

inline JournalWriter::Resumed JournalWriter::resume(std::filesystem::path const& path,
                                                    JournalHeader const& expected,
                                                    ResumeOptions const& options) {
  LockedFile file = LockedFile::open(path);
  Journal journal(file.read_all(), path.string());
  require_same(journal.header(), expected, path.string());
  JournalTail const& tail = journal.tail();
  if (tail.kind == JournalTail::Kind::damaged && !options.accept_damage) {
    fail(journal.tail_text(), "; use a copy of the file, or accept the damage and repeat the run from step ",
         journal.next_step());
  }
  if (tail.bytes != 0) {
    require_system(file.cut(tail.offset) && file.sync(), path, "cannot be cut");
  }
  JournalWriter writer(std::move(file), journal.header(), options.policy);
  writer.synced_ = tail.offset;
  writer.checksum_ = journal.last_checksum();
  writer.next_step_ = journal.next_step();
  return {std::move(writer), std::move(journal)};
}

} // namespace pocketllm::io
