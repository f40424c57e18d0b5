// SPDX-License-Identifier: Apache-2.0
// JSON lines: an object on each line, of which some members are wanted.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/delimited.hpp>
#include <pocketllm/text/name_list.hpp>
#include <pocketllm/text/quote.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

namespace detail {

/// An object from one line. Throws Error with the place and the parser's reason.
[[nodiscard]] inline nlohmann::json parse_json_line(std::string_view line, std::size_t number,
                                                    std::string_view name) {
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(line);
  } catch (nlohmann::json::exception const& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: reason; last read: 'token'": the
    // line is the parser's own count, and the token may be long
    std::string_view reason = error.what();
    reason = reason.substr(0, reason.find("; last read"));
    std::size_t const column = reason.find("column ");
    reason.remove_prefix(column != std::string_view::npos ? column : reason.find(']') + 2);
    fail(name, ":", number, ": invalid JSON at ", reason);
  }
  require(object.is_object(), name, ":", number, ": the line holds ", object.type_name(),
          "; expected an object, {\"member\": ...}");
  return object;
}

/// The text of a member: a string as it is, a number, true or false as JSON writes it.
[[nodiscard]] inline std::string member_text(nlohmann::json const& object, std::string const& member,
                                             std::size_t number, std::string_view name) {
  auto const found = object.find(member);
  if (found == object.end()) {
    std::vector<std::string> members;
    for (auto const& item : object.items()) {
      members.push_back(item.key());
    }
    fail(name, ":", number, ": no member ", quote(member), "; the object has: ", name_list(members));
  }
  if (found->is_string()) {
    return found->get<std::string>();
  }
  if (!found->is_number() && !found->is_boolean()) {
    fail(name, ":", number, ": member ", quote(member), " is ", found->type_name(), "; expected a string");
  }
  return found->dump();
}

} // namespace detail

/// The chosen members of the objects on each line, empty lines left out. `name` is the file, for errors.
[[nodiscard]] inline std::vector<Record>
read_json_lines(std::string_view bytes, std::span<std::string const> members, std::string_view name) {
  std::vector<Record> records;
  LineReader lines(bytes);
  std::string_view line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) {
      continue;
    }
    nlohmann::json const object = detail::parse_json_line(line, lines.number(), name);
    Record record{lines.number(), {}};
    for (std::string const& member : members) {
      record.cells.push_back(detail::member_text(object, member, record.line, name));
    }
    records.push_back(std::move(record));
  }
  require(!records.empty(), name, ": is empty");
  return records;
}

} // namespace pocketllm::text
