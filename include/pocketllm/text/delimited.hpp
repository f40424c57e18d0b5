// SPDX-License-Identifier: Apache-2.0
// Taking lines of TSV and records of CSV (RFC 4180) apart.
#pragma once

#include <pocketllm/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text {

/// The cells of one record, and the line of the file (from 1) on which it begins.
struct Record {
  std::size_t line = 0;           ///< from 1; a cell may go on over further lines
  std::vector<std::string> cells; ///< without quotation marks and separators
};

/// Lines of a text without their ends, LF or CRLF. Empty lines are left out.
class LineReader {
public:
  /// `bytes` must outlive the reader and the lines it gives.
  explicit LineReader(std::string_view bytes) : rest_(bytes) {}

  /// The next line that is not empty; false when there is none.
  [[nodiscard]] bool next(std::string_view& line) {
    while (!rest_.empty()) {
      std::size_t const end = rest_.find('\n');
      line = rest_.substr(0, end);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
      ++number_;
      if (line.ends_with('\r')) {
        line.remove_suffix(1);
      }
      if (!line.empty()) {
        return true;
      }
    }
    return false;
  }

  /// Number of the last line given, from 1.
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

/// Tab-separated values: a line is a record and a tab ends a cell. There are no quotes and no escapes, so
/// text may hold quotation marks as it pleases, but neither tabs nor line ends.
class TsvReader {
public:
  /// `bytes` must outlive the reader; the name is not needed, since no line is wrong.
  TsvReader(std::string_view bytes, std::string_view /*name*/) : lines_(bytes) {}

  /// The next record; false at the end.
  [[nodiscard]] bool next(Record& record) {
    std::string_view line;
    if (!lines_.next(line)) {
      return false;
    }
    record.line = lines_.number();
    record.cells.clear();
    for (std::size_t tab = line.find('\t'); tab != std::string_view::npos; tab = line.find('\t')) {
      record.cells.emplace_back(line.substr(0, tab));
      line.remove_prefix(tab + 1);
    }
    record.cells.emplace_back(line);
    return true;
  }

private:
  LineReader lines_;
};

/// Comma-separated values of RFC 4180: a cell that begins with a quotation mark ends with the next single
/// one and may hold commas, line ends and doubled quotation marks. Beyond the RFC, a line may end in LF
/// alone, empty lines are left out, and quotation marks inside a cell that does not begin with one are text.
class CsvReader {
public:
  /// `bytes` must outlive the reader; `name` stands in errors.
  CsvReader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  /// The next record; false at the end. Throws Error for a quotation mark that is not closed and for text
  /// after a closing one.
  [[nodiscard]] bool next(Record& record) {
    while (at_ < bytes_.size() && line_end_length() != 0) {
      skip_line_end();
    }
    if (at_ == bytes_.size()) {
      return false;
    }
    record.line = line_;
    record.cells.clear();
    do {
      record.cells.push_back(bytes_.substr(at_).starts_with('"') ? quoted_cell() : plain_cell());
    } while (skip_comma());
    skip_line_end();
    return true;
  }

private:
  /// Bytes of the line end at the place reached; 0 when there is none.
  [[nodiscard]] std::size_t line_end_length() const noexcept {
    std::string_view const rest = bytes_.substr(at_);
    return rest.starts_with('\n') ? 1 : rest.starts_with("\r\n") || rest == "\r" ? 2 : 0;
  }

  void skip_line_end() noexcept {
    std::size_t const length = line_end_length();
    at_ = std::min(at_ + length, bytes_.size());
    line_ += length != 0 ? 1 : 0;
  }

  [[nodiscard]] bool skip_comma() noexcept {
    bool const comma = bytes_.substr(at_).starts_with(',');
    at_ += comma ? 1 : 0;
    return comma;
  }

  [[nodiscard]] std::string plain_cell() {
    std::size_t const begin = at_;
    while (at_ < bytes_.size() && bytes_[at_] != ',' && line_end_length() == 0) {
      ++at_;
    }
    return std::string(bytes_.substr(begin, at_ - begin));
  }

  [[nodiscard]] std::string quoted_cell() {
    std::size_t const opened = line_;
    std::string cell;
    for (++at_;; ++at_) {
      require(at_ < bytes_.size(), name_, ":", opened,
              ": the quotation mark that opens here is never closed");
      if (bytes_[at_] == '"' && !bytes_.substr(at_ + 1).starts_with('"')) {
        break;
      }
      at_ += bytes_[at_] == '"' ? 1 : 0; // a doubled mark stands for one
      line_ += bytes_[at_] == '\n' ? 1 : 0;
      cell += bytes_[at_];
    }
    ++at_;
    require(at_ == bytes_.size() || bytes_[at_] == ',' || line_end_length() != 0, name_, ":", line_,
            ": text after a closing quotation mark; inside quoted text each mark is written twice");
    return cell;
  }

  std::string_view bytes_, name_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

} // namespace pocketllm::text
