// SPDX-License-Identifier: Apache-2.0
// Chosen columns of a TSV, CSV or JSON-lines file.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/delimited.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/json_lines.hpp>
#include <pocketllm/text/name_list.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// How a table is written; `automatic` goes by the file's extension: .tsv or .tab, .csv, .jsonl or .ndjson.
enum class TableFormat { automatic, tsv, csv, json_lines };

/// Which columns of a table are read.
struct TableOptions {
  TableFormat format = TableFormat::automatic; ///< to be given where the extension does not tell it
  /// Whether the first line of a TSV or CSV file names the columns. Unset: it does, unless every column asked
  /// for is a number such as "#0".
  std::optional<bool> header = std::nullopt;
};

/// Some columns of a file.
struct Table {
  std::string name;                 ///< the file, for messages
  std::vector<std::string> columns; ///< as asked for
  std::vector<Record> records;      ///< in the file's order; cells in the order of `columns`
};

namespace detail {

/// The format that the extension of `path` stands for.
[[nodiscard]] inline TableFormat format_of(std::filesystem::path const& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (extension == ".tsv" || extension == ".tab") {
    return TableFormat::tsv;
  }
  if (extension == ".csv") {
    return TableFormat::csv;
  }
  require(extension == ".jsonl" || extension == ".ndjson", path.string(), ": unknown kind of table ",
          quote(extension), "; name it .tsv, .csv or .jsonl, or say its format");
  return TableFormat::json_lines;
}

/// The number in "#3", a column of a file without names.
[[nodiscard]] inline std::optional<std::size_t> column_number(std::string_view column) {
  std::size_t number = 0;
  char const* const end = column.data() + column.size();
  if (!column.starts_with('#')) {
    return std::nullopt;
  }
  auto const [stop, error] = std::from_chars(column.data() + 1, end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

/// Where `column` is in a file with a header: by its name or else by its number.
[[nodiscard]] inline std::size_t find_column(std::string_view column, std::vector<std::string> const& header,
                                             std::string_view name) {
  auto const found = std::find(header.begin(), header.end(), column);
  if (found == header.end()) {
    std::size_t const number = column_number(column).value_or(header.size());
    require(number < header.size(), name, ": no column ", quote(column),
            "; choose one that the header has: ", name_list(header));
    return number;
  }
  require(std::find(found + 1, header.end(), column) == header.end(), name, ": the header has ",
          quote(column), " more than once; rename one of them");
  return static_cast<std::size_t>(found - header.begin());
}

/// Where `column` is in a file without a header of `count` columns.
[[nodiscard]] inline std::size_t find_column(std::string_view column, std::size_t count,
                                             std::string_view name) {
  std::optional<std::size_t> const number = column_number(column);
  require(number.has_value(), name, ": has no header to find the column ", quote(column),
          " in; choose columns by number, #0 to #", count - 1);
  require(*number < count, name, ": no column ", quote(column), "; there are ", count, ", #0 to #",
          count - 1);
  return *number;
}

/// Where each of the columns asked for is.
[[nodiscard]] inline std::vector<std::size_t> find_columns(std::span<std::string const> columns, bool header,
                                                           Record const& first, std::string_view name) {
  std::vector<std::size_t> places;
  for (std::string const& column : columns) {
    places.push_back(header ? find_column(column, first.cells, name)
                            : find_column(column, first.cells.size(), name));
  }
  return places;
}

template <class Reader>
void read_delimited(Table& table, std::string_view bytes, std::optional<bool> with_header) {
  Reader reader(bytes, table.name);
  Record record;
  require(reader.next(record), table.name, ": is empty");
  bool const numbered = std::all_of(table.columns.begin(), table.columns.end(),
                                    [](auto const& column) { return column_number(column).has_value(); });
  bool const header = with_header.value_or(!numbered);
  auto const places = find_columns(table.columns, header, record, table.name);
  std::size_t const width = record.cells.size(), first = record.line;
  bool more = header ? reader.next(record) : true;
  require(more, table.name, ": has a header and no lines below it");
  for (; more; more = reader.next(record)) {
    require(record.cells.size() == width, table.name, ":", record.line, ": ", record.cells.size(),
            " columns, where line ", first, " has ", width,
            std::is_same_v<Reader, TsvReader>
                ? "; text with tabs or line ends needs .csv or .jsonl"
                : "; text with commas or line ends needs quotation marks around it");
    Record chosen{record.line, {}};
    for (std::size_t const place : places) {
      chosen.cells.push_back(record.cells[place]);
    }
    table.records.push_back(std::move(chosen));
  }
}

/// `bytes` without the byte order mark. Throws Error when they are not UTF-8.
[[nodiscard]] inline std::string_view check_encoding(std::string_view bytes, std::string_view name) {
  require(!bytes.starts_with("\xff\xfe") && !bytes.starts_with("\xfe\xff"), name,
          ": is UTF-16; save it as UTF-8");
  std::size_t const valid = valid_utf8_prefix(bytes);
  if (valid != bytes.size()) {
    auto const lines = std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
    fail(name, ":", lines + 1, ": invalid UTF-8; save the file as UTF-8");
  }
  return bytes.substr(bytes.starts_with("\xef\xbb\xbf") ? 3 : 0);
}

} // namespace detail

/// Reads the chosen columns of `path`: names of the header of a TSV or CSV file, numbers from "#0" on in one
/// without header, members of the objects of JSON lines. UTF-8 with or without byte order mark, lines ending
/// in LF or CRLF; empty lines are left out. Throws Error, with file and line, for what cannot be read so.
[[nodiscard]] inline Table read_table(std::filesystem::path const& path, std::vector<std::string> columns,
                                      TableOptions const& options = {}) {
  Table table{path.string(), std::move(columns), {}};
  std::error_code ignored; // what cannot be looked at is reported by the reader
  require(!std::filesystem::is_directory(path, ignored), table.name,
          ": is a directory; name a .tsv, .csv or .jsonl file");
  TableFormat const format =
      options.format == TableFormat::automatic ? detail::format_of(path) : options.format;
  std::string const file = read_whole_file(path);
  std::string_view const bytes = detail::check_encoding(file, table.name);
  switch (format) {
  case TableFormat::automatic: // replaced above
  case TableFormat::tsv:
    detail::read_delimited<TsvReader>(table, bytes, options.header);
    break;
  case TableFormat::csv:
    detail::read_delimited<CsvReader>(table, bytes, options.header);
    break;
  case TableFormat::json_lines:
    table.records = read_json_lines(bytes, table.columns, table.name);
    break;
  }
  return table;
}

} // namespace pocketllm::text
