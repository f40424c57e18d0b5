// SPDX-License-Identifier: Apache-2.0
// Golden files: what PyTorch found with the same weights and inputs, and how far a result is from it.
#pragma once

#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/safetensors.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/models/batch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace golden {

using namespace pocketllm;
using Json = io::Json;

/// The parity that is asked for: relative to the largest element of what is compared.
inline constexpr double tolerance = 1e-5;

/// A file or folder of the tests by its path below tests/.
inline std::filesystem::path path_of(std::string const& name) {
  return std::filesystem::path(POCKETLLM_TEST_DATA) / name;
}

/// max |found - expected| / max |expected|; infinite when the sizes differ or something is not a number.
inline double relative_error(std::span<float const> found, std::span<float const> expected) {
  if (found.size() != expected.size() || expected.empty()) {
    return std::numeric_limits<double>::infinity();
  }
  double difference = 0.0, largest = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    double const a = static_cast<double>(found[i]), b = static_cast<double>(expected[i]);
    if (!std::isfinite(a) || !std::isfinite(b)) {
      return std::numeric_limits<double>::infinity();
    }
    difference = std::max(difference, std::abs(a - b));
    largest = std::max(largest, std::abs(b));
  }
  return difference / largest;
}

/// The same for two numbers.
inline double relative_error(double found, double expected) {
  return std::isfinite(found) ? std::abs(found - expected) / std::abs(expected)
                              : std::numeric_limits<double>::infinity();
}

/// The tensors of a safetensors file as floats.
class Tensors {
public:
  explicit Tensors(std::filesystem::path const& path) : file_(path) {}

  [[nodiscard]] std::size_t size() const noexcept { return file_.content.tensors().size(); }

  /// All elements. Throws Error when there is no such tensor.
  [[nodiscard]] std::vector<float> operator[](std::string const& name) const {
    io::TensorEntry const& entry = find(name);
    std::size_t count = 1;
    for (std::size_t const n : entry.shape) {
      count *= n;
    }
    std::vector<float> values(count);
    io::copy_weights(entry, file_.content.file(), values.data(), [](auto const&) {});
    return values;
  }

  /// The rows `rows` of a tensor [..., width] seen as a matrix.
  [[nodiscard]] std::vector<float> rows(std::string const& name, std::span<std::size_t const> rows) const {
    std::vector<float> const all = (*this)[name];
    std::size_t const width = find(name).shape.back();
    std::vector<float> chosen;
    for (std::size_t const row : rows) {
      chosen.insert(chosen.end(), all.begin() + static_cast<std::ptrdiff_t>(row * width),
                    all.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
    }
    return chosen;
  }

private:
  [[nodiscard]] io::TensorEntry const& find(std::string const& name) const {
    io::TensorEntry const* const entry = file_.content.find(name);
    require(entry != nullptr, file_.content.file(), ": no tensor ", name);
    return *entry;
  }

  io::SafetensorsFile file_;
};

/// Examples of a golden file without their padding.
struct Examples {
  models::Batch tokens;
  std::vector<std::size_t> places; ///< of each token in the padded array
  std::vector<std::size_t> masks;  ///< the token of each sequence's mask; empty for a classifier
  std::vector<std::size_t> labels;
  std::vector<std::int32_t> words; ///< the label words; empty for a classifier

  /// All sequences of `json`, which has `input_ids`, `attention_mask` and `labels`, may have
  /// `token_type_ids`, and has `mask_positions` and `label_words` where there is a mask.
  explicit Examples(Json const& json) : Examples(json, all(json.at("input_ids").size())) {}

  /// The sequences `chosen`.
  Examples(Json const& json, std::vector<std::size_t> const& chosen) {
    auto const padded = json.at("input_ids").get<std::vector<std::vector<std::int32_t>>>();
    auto const kinds = json.value("token_type_ids", std::vector<std::vector<std::int32_t>>{});
    auto const valid = json.at("attention_mask").get<std::vector<std::vector<std::uint8_t>>>();
    std::vector<std::int32_t> ids, types;
    std::vector<std::uint8_t> mask;
    std::size_t const width = padded.front().size();
    for (std::size_t const i : chosen) {
      for (std::size_t t = 0; t < width; ++t) {
        if (json.contains("mask_positions") && t == json["mask_positions"][i].get<std::size_t>()) {
          masks.push_back(places.size());
        }
        if (valid[i][t] != 0) {
          places.push_back(ids.size() + t);
        }
      }
      ids.insert(ids.end(), padded[i].begin(), padded[i].end());
      mask.insert(mask.end(), valid[i].begin(), valid[i].end());
      if (!kinds.empty()) {
        types.insert(types.end(), kinds[i].begin(), kinds[i].end());
      }
      labels.push_back(json.at("labels")[i].get<std::size_t>());
    }
    tokens = models::Batch::from_padded(ids, mask, width, types);
    words = json.value("label_words", std::vector<std::int32_t>{});
  }

private:
  static std::vector<std::size_t> all(std::size_t count) {
    std::vector<std::size_t> indices(count);
    std::iota(indices.begin(), indices.end(), std::size_t{0});
    return indices;
  }
};

} // namespace golden
