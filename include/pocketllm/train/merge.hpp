// SPDX-License-Identifier: Apache-2.0
// Several devices, one model: journals of runs that began with the same weights become one journal, whose
// replay gives the mean of what they learnt (federated averaging, McMahan et al., arXiv 1602.05629). What
// devices send each other is their journals, some kilobytes, and neither weights nor data.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/train/part.hpp>
#include <pocketllm/train/shaped.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::train {

namespace detail {

/// Throws Error unless the runs can be merged: SGD with the same weights, model, tensors and perturbation.
/// The decay of the weights is the same for all only where rates and numbers of steps are.
inline void check_mergeable(std::span<io::Journal const> journals) {
  io::Journal const& first = journals.front();
  for (io::Journal const& journal : journals) {
    io::Json const& header = journal.header().json();
    for (char const* const member : {"base", "trained", "model", "perturbation", "update"}) {
      bool const same = header.value(member, io::Json()) == first.header().json().value(member, io::Json());
      require(same, journal.name(), ": has another \"", member, "\" than ", first.name(),
              "; journals can be merged of runs that began with the same weights and differ in their data, "
              "seeds, rates and steps only");
    }
    require(journal.size() != 0, journal.name(), ": has no steps to merge");
    require_no_small_weights(journal, "merged with others");
    optimize::Sgd const rule = read_part<optimize::Sgd>(header.at("update"), journal.name() + ": update");
    bool const same_rates =
        std::equal(journal.steps().begin(), journal.steps().end(), first.steps().begin(), first.steps().end(),
                   [](io::JournalStep const& a, io::JournalStep const& b) {
                     return a.learning_rate == b.learning_rate;
                   });
    require(rule.weight_decay == 0.0F || same_rates, journal.name(),
            ": with weight decay all runs must have as many steps as ", first.name(),
            " has, at the same rates");
  }
}

/// The weights, made to have the sum 1.
[[nodiscard]] inline std::vector<double> shares(std::span<double const> weights, std::size_t journals) {
  require(weights.size() == journals, "there are ", journals, " journals and ", weights.size(),
          " weights; give one for each");
  bool const positive =
      std::all_of(weights.begin(), weights.end(), [](double w) { return w > 0.0 && std::isfinite(w); });
  require(positive, "the weights of journals must be positive numbers");
  double const sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> result(weights.begin(), weights.end());
  std::for_each(result.begin(), result.end(), [&](double& share) { share /= sum; });
  return result;
}

[[nodiscard]] inline io::JournalHeader merged_header(std::span<io::Journal const> journals,
                                                     std::span<double const> share) {
  io::Json json = journals.front().header().json();
  json.erase("about");
  json.erase("first_step");
  json["seeds"] = {{"rule", "stored"}};
  json["slopes"] = std::size_t{0};
  for (char const* const member : {"estimator", "schedule", "objective", "data"}) {
    json[member] = {{"merged", io::Json::array()}};
    for (io::Journal const& journal : journals) {
      json[member]["merged"].push_back(journal.header().json().at(member));
    }
  }
  for (std::size_t i = 0; i < journals.size(); ++i) {
    json["slopes"] = json["slopes"].get<std::size_t>() + journals[i].header().layout().slopes;
    json["data"]["merged"][i]["share"] = share[i];
  }
  return io::JournalHeader(json);
}

/// Record `i` of the journals as one: the rate is the largest, slopes are scaled to it and to the shares. A
/// run that has ended before stands still.
[[nodiscard]] inline optimize::Gradient merged_gradient(std::span<io::Journal const> journals,
                                                        std::span<double const> share, std::size_t i,
                                                        float rate) {
  optimize::Gradient gradient;
  for (std::size_t j = 0; j < journals.size(); ++j) {
    io::Journal const& journal = journals[j];
    for (std::size_t k = 0; k < journal.header().layout().slopes; ++k) {
      optimize::Slope slope;
      if (i < journal.size()) {
        auto const own = static_cast<double>(journal.steps()[i].learning_rate);
        double const scale = rate == 0.0F ? 0.0 : share[j] * (own / static_cast<double>(rate));
        slope = {journal.seed(i, k), static_cast<float>(scale * static_cast<double>(journal.slopes(i)[k]))};
      }
      gradient.push_back(slope);
    }
  }
  return gradient;
}

} // namespace detail

/// Writes the journal `path`: its replay over the weights that all runs began with gives the mean of the
/// weights that they ended with, weighted by `weights` (the numbers of their examples, say), but for
/// rounding. Record i holds the slopes of all runs' records i, with their seeds. Another round begins with
/// those weights. Throws Error when the runs are of different kinds, and when the journal cannot be written.
inline void merge_journals(std::filesystem::path const& path, std::span<io::Journal const> journals,
                           std::span<double const> weights) {
  require(!journals.empty(), "there are no journals to merge");
  std::vector<double> const share = detail::shares(weights, journals.size());
  detail::check_mergeable(journals);
  auto writer = io::JournalWriter::create(path, detail::merged_header(journals, share));
  std::size_t steps = 0;
  for (io::Journal const& journal : journals) {
    steps = std::max(steps, journal.size());
  }
  for (std::size_t i = 0; i < steps; ++i) {
    float rate = 0.0F;
    double loss = 0.0, sum = 0.0;
    for (std::size_t j = 0; j < journals.size(); ++j) {
      if (i < journals[j].size()) {
        rate = std::max(rate, journals[j].steps()[i].learning_rate);
        loss += share[j] * static_cast<double>(journals[j].steps()[i].loss);
        sum += share[j];
      }
    }
    writer.append(i, rate, static_cast<float>(loss / sum), detail::merged_gradient(journals, share, i, rate));
  }
  writer.flush();
}

} // namespace pocketllm::train
