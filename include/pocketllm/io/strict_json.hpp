// SPDX-License-Identifier: Apache-2.0
// JSON of model files, read strictly: what two readers could understand in two ways is an error.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/quote.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io {

/// With its members in the order of their names.
using Json = nlohmann::json;

/// Parses a JSON object. `file` stands in front of messages. Throws Error when the text is not UTF-8, not
/// JSON, not an object, names a member twice, or nests deeper than any model's file.
[[nodiscard]] inline Json parse_object(std::string_view text, std::string const& file) {
  constexpr int deepest = 64; // files of models nest about five deep; writing JSON recurses, so it must end
  std::vector<std::set<std::string>> members;
  auto const check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    require(depth < deepest, file, ": JSON nests deeper than ", deepest, " levels; the file is damaged");
    if (event == Json::parse_event_t::object_start) {
      members.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      members.pop_back();
    } else if (event == Json::parse_event_t::key) {
      std::string const& key = parsed.get_ref<std::string const&>();
      if (!members.back().insert(key).second) {
        fail(file, ": ", text::quote(key, 200), " is there twice; the file is damaged, fetch it again");
      }
    }
    return true;
  };
  {
    Json const json = text::parse_json(text, file); // for its messages about bytes and syntax
    require(json.is_object(), file, ": expected a JSON object, found ", json.type_name());
  }
  return Json::parse(text, check);
}

/// Reads and parses a file that holds a JSON object.
[[nodiscard]] inline Json read_object(std::filesystem::path const& path) {
  return parse_object(text::read_whole_file(path), path.string());
}

} // namespace pocketllm::io
