// SPDX-License-Identifier: Apache-2.0
// JSON of tokenizer files: reading, and access to members with errors that name the file and the member.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/quote.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace pocketllm::text {

/// With its members in the order of their names.
using Json = nlohmann::json;

/// The bytes of a file. Throws `Error` if it cannot be read.
[[nodiscard]] inline std::string read_whole_file(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  if (file && std::filesystem::is_regular_file(path)) {
    bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  } else {
    file.setstate(std::ios::failbit);
  }
  require(!file.fail() && !file.bad(), path.string(),
          ": cannot be read; check that it is a file and its permissions");
  return bytes;
}

/// Parses JSON; `name` stands in the message of the `Error` that is thrown when it is invalid.
[[nodiscard]] inline Json parse_json(std::string_view bytes, std::string_view name) {
  require(is_valid_utf8(bytes), name, ": invalid UTF-8 at byte ", valid_utf8_prefix(bytes),
          "; the file is damaged, fetch it again");
  try {
    return Json::parse(bytes);
  } catch (Json::exception const& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what; last read: 'all of a token'"
    std::string_view what = error.what();
    what = what.substr(0, what.find("; last read"));
    what.remove_prefix(what.starts_with('[') ? what.find(']') + 2 : 0);
    fail(name, ": invalid JSON: ", what, "; the file is damaged, fetch it again");
  }
}

/// Member `key` of an object, or null when `json` is no object, has no such member or it is JSON's null.
[[nodiscard]] inline Json const* find_member(Json const& json, std::string_view key) {
  if (!json.is_object()) {
    return nullptr;
  }
  auto const found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

/// A string member, or `otherwise` when it is not there.
[[nodiscard]] inline std::string string_member(Json const& json, std::string_view key, std::string_view name,
                                               std::string_view otherwise = "") {
  Json const* member = find_member(json, key);
  if (member == nullptr) {
    return std::string(otherwise);
  }
  if (!member->is_string()) {
    fail(name, ": \"", key, "\" is ", member->type_name(), ", expected a string");
  }
  return member->get_ref<std::string const&>();
}

/// A true-or-false member, or nothing when it is not there.
[[nodiscard]] inline std::optional<bool> bool_member(Json const& json, std::string_view key,
                                                     std::string_view name) {
  Json const* member = find_member(json, key);
  if (member == nullptr) {
    return std::nullopt;
  }
  if (!member->is_boolean()) {
    fail(name, ": \"", key, "\" is ", member->type_name(), ", expected true or false");
  }
  return member->get<bool>();
}

/// A token id: an integer from 0 to 2^31 - 1. `token` is what it belongs to.
[[nodiscard]] inline std::int32_t to_token_id(Json const& json, std::string_view token,
                                              std::string_view name) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > largest) {
    fail(name, ": the id of token ", quote(token), " is not an integer from 0 to 2147483647");
  }
  return json.get<std::int32_t>();
}

} // namespace pocketllm::text
