// SPDX-License-Identifier: Apache-2.0
// The header of a run's journal: the weights it begins with, and every part that its steps depend on.
#pragma once

#include <pocketllm/core/blake3.hpp>
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/tensor/visit.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/train/part.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::train {

/// What only the program knows of its run, each a JSON object.
struct RunDescription {
  io::Json model;           ///< {"type": ..., "storage": ...}: how a replay has to load the base weights
  io::Json objective;       ///< what is computed from a batch
  io::Json data;            ///< {"digest": ...}: which examples there are, in which order
  io::Json about = nullptr; ///< anything that people want to know; not compared
};

/// An estimator that can be written down. slopes() is the largest number of slopes of a step. With a member
/// seeds() the seeds are those of that rule; without, records hold them.
template <class E>
concept DescribedEstimator = Part<E> && requires(E const estimator) {
  { estimator.slopes() } -> std::convertible_to<std::size_t>;
};
static_assert(DescribedEstimator<optimize::TwoPoint>);
static_assert(!DescribedEstimator<random::Gaussian>);

/// The digest of a sequence of examples: BLAKE3 of all numbers that add(range or number) is given, each as
/// eight bytes, a range after its length.
class ExamplesDigest {
public:
  /// A number: a label, say. Negative ones count as their 64-bit two's complement.
  template <std::integral T>
  void add(T number) {
    io::detail::append_little(bytes_, static_cast<std::uint64_t>(number));
  }
  /// The ids of a text, say: their count and each of them.
  template <std::integral T>
  void add(std::vector<T> const& numbers) {
    add(numbers.size());
    for (T const number : numbers) {
      add(number);
    }
  }
  /// `blake3:` and 64 hexadecimal digits, of all that was added so far.
  [[nodiscard]] std::string text() const { return io::digest_text(blake3(bytes_)); }

private:
  std::vector<std::byte> bytes_;
};

/// The names of the trained tensors in the model's order; "*" alone stands for all of them.
template <tensor::HasTensors Model>
[[nodiscard]] io::Json trained_tensors(Model const& model) {
  io::Json names = io::Json::array();
  bool all = true;
  tensor::for_each_tensor(model, [&](auto const& tensor) {
    all = all && tensor.trained();
    if (tensor.trained()) {
      names.push_back(tensor.name());
    }
  });
  return all ? io::Json::array({"*"}) : names;
}

/// Trains the tensors that `trained_tensors` listed. Throws Error that begins with `place` when the model has
/// not all of them.
template <tensor::HasTensors Model>
void set_trained_tensors(Model& model, io::Json const& names, std::string_view place) {
  bool const strings = names.is_array() && std::all_of(names.begin(), names.end(),
                                                       [](io::Json const& name) { return name.is_string(); });
  require(strings, place, ": \"trained\" is no list of tensors");
  bool const all = names == io::Json::array({"*"});
  std::set<std::string> wanted;
  if (!all) {
    wanted = names.get<std::set<std::string>>();
  }
  tensor::for_each_tensor(model,
                          [&](auto& tensor) { tensor.set_trained(all || wanted.erase(tensor.name()) != 0); });
  require(wanted.empty(), place, ": trains ", wanted.empty() ? "" : text::quote(*wanted.begin(), 200),
          ", which this model does not have; name the model that the run began with");
}

/// The header of a run whose model has the weights that it begins with. It reads all weights once.
template <tensor::HasTensors Model, Part P, DescribedEstimator E, Part U>
[[nodiscard]] io::JournalHeader run_header(Model const& model, P const& perturbation, E const& estimator,
                                           U const& rule, optimize::Schedule const& schedule,
                                           RunDescription const& description, Runtime& runtime) {
  io::Json json; // no list of all, which clang 14 leaks in a template
  json["base"] = io::digest_text(io::digest(model, runtime));
  json["trained"] = trained_tensors(model);
  json["model"] = description.model;
  json["perturbation"] = describe(perturbation);
  json["estimator"] = describe(estimator);
  json["update"] = describe(rule);
  json["schedule"] = describe_parameters(schedule);
  json["objective"] = description.objective;
  json["data"] = description.data;
  json["slopes"] = static_cast<std::size_t>(estimator.slopes());
  json["seeds"]["rule"] = "stored";
  if constexpr (requires { estimator.seeds(); }) {
    SeedRule const rule_of_seeds = estimator.seeds();
    json["seeds"]["rule"] = "split_mix";
    json["seeds"]["run"] = rule_of_seeds.run;
    if (rule_of_seeds.shared > 1) {
      json["seeds"]["shared"] = rule_of_seeds.shared;
    }
  }
  if (!description.about.is_null()) {
    json["about"] = description.about;
  }
  return io::JournalHeader(std::move(json));
}

/// Throws Error unless the model has the weights that the journal's run began with.
template <tensor::HasTensors Model>
void require_base(Model const& model, io::Journal const& journal, Runtime& runtime) {
  std::string const found = io::digest_text(io::digest(model, runtime));
  std::string const expected =
      text::string_member(journal.header().json(), "base", journal.name() + ": header");
  require(found == expected, journal.name(), ": is of a run that began with other weights: their digest is ",
          expected, ", that of these is ", found, "; name the model that the run began with");
}

} // namespace pocketllm::train
