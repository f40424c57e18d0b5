// SPDX-License-Identifier: Apache-2.0
// The parts of a run as JSON, for the header of its journal, and back.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/memory.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/text/quote.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace pocketllm::train {

/// A part that can be written down: it has a name (perturbations do anyway), and, where it has parameters,
/// `static void parameters(self, f)` that calls f("name", self.member) for each; self is const or not.
/// Numbers, flags and Schedule::Shape can be parameters. Parts of a user's own become parts in the same way.
template <class T>
concept Part = std::default_initializable<T> && requires(T const part) {
  { part.name } -> std::convertible_to<std::string_view>;
};
static_assert(Part<optimize::Sgd> && Part<optimize::TwoPoint> && Part<random::Gaussian>);
static_assert(!Part<optimize::Gradient>);

namespace detail {

template <class T, class F>
void for_each_parameter(T& object, F&& f) {
  if constexpr (requires { std::remove_const_t<T>::parameters(object, f); }) {
    std::remove_const_t<T>::parameters(object, f);
  }
}

[[nodiscard]] inline io::Json parameter_to_json(float value) { return io::readable(value); }
[[nodiscard]] inline io::Json parameter_to_json(optimize::Schedule::Shape value) {
  return optimize::Schedule::name_of(value);
}
template <std::integral T>
[[nodiscard]] io::Json parameter_to_json(T value) {
  return value;
}

inline void parameter_from_json(io::Json const& json, std::string_view place, float& value) {
  require(json.is_number(), place, ": expected a number, found ", json.type_name());
  value = json.get<float>();
}
inline void parameter_from_json(io::Json const& json, std::string_view place, bool& value) {
  require(json.is_boolean(), place, ": expected true or false, found ", json.type_name());
  value = json.get<bool>();
}
inline void parameter_from_json(io::Json const& json, std::string_view place,
                                optimize::Schedule::Shape& value) {
  require(json.is_string(), place, ": expected a string, found ", json.type_name());
  value = optimize::Schedule::parse(json.get_ref<std::string const&>());
}
template <std::unsigned_integral T>
void parameter_from_json(io::Json const& json, std::string_view place, T& value) {
  bool const natural =
      json.is_number_integer() && (json.is_number_unsigned() || json.get<std::int64_t>() >= 0);
  bool const fits = natural && json.get<std::uint64_t>() <= std::numeric_limits<T>::max();
  require(fits, place, ": expected an integer of 0 or more, found ", io::detail::show(&json));
  value = json.get<T>();
}

} // namespace detail

/// The parameters as a JSON object.
template <class T>
[[nodiscard]] io::Json describe_parameters(T const& object) {
  io::Json json = io::Json::object();
  detail::for_each_parameter(
      object, [&](char const* name, auto const& value) { json[name] = detail::parameter_to_json(value); });
  return json;
}

/// {"name": "...", and its parameters}.
template <Part T>
[[nodiscard]] io::Json describe(T const& part) {
  io::Json json = describe_parameters(part);
  json["name"] = part.name;
  return json;
}

/// The name of a part in a header; empty when it has none.
[[nodiscard]] inline std::string part_name(io::Json const& json, std::string_view place) {
  return json.is_object() ? text::string_member(json, "name", place) : "";
}

/// Reads what `describe` wrote. Throws Error that begins with `place` when it is another part, or when a
/// parameter is missing, of another type, or not known.
template <Part T>
[[nodiscard]] T read_part(io::Json const& json, std::string_view place) {
  std::string const name = part_name(json, place);
  require(name == std::string_view(T::name), place, ": expected ", T::name, ", found ", text::quote(name));
  T part;
  std::size_t known = 1; // the name
  detail::for_each_parameter(part, [&](char const* parameter, auto& value) {
    require(json.contains(parameter), place, ": ", name, " has no \"", parameter, "\"");
    detail::parameter_from_json(json.at(parameter), concat(place, ".", parameter), value);
    ++known;
  });
  require(json.size() == known, place, ": ", name, " has a parameter that is not known here (",
          io::detail::show(&json), "); use the version of pocketllm that wrote it");
  return part;
}

/// Parts among which a name chooses.
template <Part... T>
struct Parts {};

/// The library's own perturbations, which journals are replayed with.
using Perturbations = Parts<random::Gaussian, random::Rademacher, random::LowRank>;
/// The library's own update rules, which journals are replayed with.
using UpdateRules = Parts<optimize::Sgd, optimize::Sign, optimize::Momentum, optimize::Adam>;

/// Calls f(part) with the one of the parts that `json` describes. Throws Error that begins with `place` when
/// it is none of them, and as read_part does.
template <Part... T, class F>
void with_part(Parts<T...>, io::Json const& json, std::string_view place, F&& f) {
  std::string const name = part_name(json, place);
  bool const found = ((name == std::string_view(T::name) && (f(read_part<T>(json, place)), true)) || ...);
  if (!found) {
    std::string known;
    ((known += concat(known.empty() ? "" : ", ", T::name)), ...);
    fail(place, ": ", text::quote(name), " is not known here; known are: ", known,
         ". A program that has such a part can replay it");
  }
}

} // namespace pocketllm::train
