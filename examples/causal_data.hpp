// SPDX-License-Identifier: Apache-2.0
// The texts that finetune_causal trains and tests on.
#pragma once

#include "causal_options.hpp"
#include "labelled_data.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/shuffle.hpp>
#include <pocketllm/text/split.hpp>
#include <pocketllm/text/table.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace examples {

namespace pl = pocketllm;

/// Whether a file is one text and no table.
inline bool is_plain_text(std::filesystem::path const& file) {
  return file.extension() == ".txt" || file.extension() == ".md";
}

/// The rows of a table that --where asks for, each once.
inline pl::text::Dataset read_rows(CausalOptions const& o, std::filesystem::path const& file) {
  std::vector<std::string> columns = o.text_columns;
  std::size_t const fields = columns.size();
  std::string value;
  if (!o.where.empty()) {
    std::size_t const sign = o.where.find('=');
    pl::require(sign != std::string::npos && sign != 0, "--where: \"", o.where,
                "\" is not COLUMN=VALUE; write e.g. Label=ham");
    columns.push_back(o.where.substr(0, sign));
    value = o.where.substr(sign + 1);
  }
  pl::text::Table table = pl::text::read_table(file, columns);
  pl::text::Dataset data{table.name, o.text_columns, {}, {}};
  for (pl::text::Record& record : table.records) {
    if (!o.where.empty() && record.cells.back() != value) {
      continue;
    }
    record.cells.resize(fields);
    pl::text::Example example;
    example.fields = std::move(record.cells);
    data.examples.push_back(std::move(example));
  }
  pl::require(!data.examples.empty(), table.name, ": no row has ", o.where);
  return pl::text::without_duplicates(data);
}

/// Which of `count` examples are tested on and which trained on, the test's first; both of `all` when there
/// is a file of its own to test on.
struct Parts {
  std::vector<std::size_t> train, test;
};

/// In a random order by --seed, or, where neighbours overlap, the last ones to test on.
inline Parts split(CausalOptions const& o, std::size_t count, bool in_order) {
  pl::text::SplitMix64 random(o.seed);
  std::vector<std::size_t> order = pl::text::shuffled_indices(count, random);
  if (in_order) {
    std::sort(order.begin(), order.end(), std::greater<>());
  }
  std::size_t const held = o.test_data.empty() ? static_cast<std::size_t>(o.test_size) : 0;
  pl::require(held < count, o.data.string(), ": ", count, " texts, and --test-size ", held,
              " leaves none to train on; ask for fewer");
  std::size_t const left = count - held;
  std::size_t const wanted = o.train_size == 0 ? left : static_cast<std::size_t>(o.train_size);
  pl::require(wanted <= left, o.data.string(), ": ", left, " texts left of the ", wanted,
              " wanted for training; ask for fewer");
  auto const middle = order.begin() + static_cast<std::ptrdiff_t>(held);
  return {{middle, middle + static_cast<std::ptrdiff_t>(wanted)}, {order.begin(), middle}};
}

} // namespace examples
