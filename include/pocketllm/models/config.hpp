// SPDX-License-Identifier: Apache-2.0
// Reading numbers out of a model's config.json with errors that say which.
#pragma once

#include <pocketllm/core/error.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pocketllm::models {

/// A positive integer under `key`; `fallback` where the key is missing. Throws Error otherwise.
[[nodiscard]] inline std::size_t read_size(nlohmann::json const& json, std::string const& key,
                                           std::optional<std::size_t> fallback = {}) {
  auto const found = json.find(key);
  if (found == json.end() || found->is_null()) {
    require(fallback.has_value(), key, " is missing");
    return *fallback;
  }
  require(found->is_number_integer() && found->get<std::int64_t>() > 0 &&
              found->get<std::int64_t>() <= 0x7fffffff, // sizes and ids are 32-bit in every file format
          key, " is ", found->dump(), ", not a positive integer");
  return found->get<std::size_t>();
}

/// A token id (zero or more) under `key`.
[[nodiscard]] inline std::int32_t read_id(nlohmann::json const& json, std::string const& key,
                                          std::int32_t fallback) {
  auto const found = json.find(key);
  if (found == json.end() || found->is_null()) {
    return fallback;
  }
  require(found->is_number_integer() && found->get<std::int64_t>() >= 0 &&
              found->get<std::int64_t>() <= 0x7fffffff,
          key, " is ", found->dump(), ", not a token id");
  return found->get<std::int32_t>();
}

/// A positive number under `key`.
[[nodiscard]] inline float read_number(nlohmann::json const& json, std::string const& key, float fallback) {
  auto const found = json.find(key);
  if (found == json.end() || found->is_null()) {
    return fallback;
  }
  require(found->is_number() && found->get<double>() > 0.0, key, " is ", found->dump(),
          ", not a positive number");
  return found->get<float>();
}

/// true or false under `key`; `fallback` where the key is missing or null. Throws Error for anything else.
[[nodiscard]] inline bool read_flag(nlohmann::json const& json, std::string const& key, bool fallback) {
  auto const found = json.find(key);
  if (found == json.end() || found->is_null()) {
    return fallback;
  }
  require(found->is_boolean(), key, " is ", found->dump(), ", not true or false");
  return found->get<bool>();
}

/// A string under `key`; `fallback` where the key is missing or null. Throws Error for anything else.
[[nodiscard]] inline std::string read_string(nlohmann::json const& json, std::string const& key,
                                             std::string const& fallback) {
  auto const found = json.find(key);
  if (found == json.end() || found->is_null()) {
    return fallback;
  }
  require(found->is_string(), key, " is ", found->dump(), ", not a string");
  return found->get<std::string>();
}

/// Throws Error unless the value under `key` is `expected` or missing: for features that are not supported.
inline void expect_string(nlohmann::json const& json, std::string const& key, std::string const& expected) {
  std::string const found = read_string(json, key, expected);
  require(found == expected, key, " is \"", found, "\"; supported is \"", expected, "\"");
}

} // namespace pocketllm::models
