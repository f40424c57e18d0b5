// SPDX-License-Identifier: Apache-2.0
// Labelled texts to train and to test on, and what stands for the labels.
#pragma once

#include "classifier_options.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/split.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace examples {

namespace pl = pocketllm;

/// Labels and what stands for them, from "label=word"; of a head the words are missing.
struct Labels {
  std::vector<std::string> names, words;
};

inline Labels parse_labels(std::vector<std::string> const& pairs) {
  Labels labels;
  for (std::string const& pair : pairs) {
    std::size_t const sign = pair.find('=');
    pl::require(sign != std::string::npos && sign != 0 && sign + 1 != pair.size(), "--label-words: \"", pair,
                "\" is not label=word; write e.g. spam=commercial,ham=personal");
    labels.names.push_back(pair.substr(0, sign));
    labels.words.push_back(pair.substr(sign + 1));
  }
  return labels;
}

/// The fields of a row for a template; a single column is {text} too.
inline std::vector<pl::text::Field> fields_of(pl::text::Dataset const& data, pl::text::Example const& row) {
  std::vector<pl::text::Field> fields;
  for (std::size_t i = 0; i < row.fields.size(); ++i) {
    fields.push_back({data.field_names[i], row.fields[i]});
  }
  if (row.fields.size() == 1) {
    fields.push_back({"text", row.fields.front()});
  }
  return fields;
}

struct LabelledData {
  pl::text::Dataset train, test;
};

/// Without labels in `labels`, those of the data. As many texts of each class are held out to test on when
/// there is no --test-data.
inline LabelledData read_labelled(ClassifierOptions const& o, Labels const& labels) {
  pl::text::DatasetOptions const columns{o.text_columns, o.label_column, labels.names, {}};
  pl::text::Dataset all = pl::text::without_duplicates(pl::text::read_dataset(o.data, columns));
  LabelledData data;
  if (o.test_data.empty()) {
    std::size_t const classes = all.classes.size();
    std::size_t const per_class = static_cast<std::size_t>(o.test_size) / classes;
    pl::require(per_class != 0, "--test-size ", o.test_size, " is fewer than one example for each of ",
                classes, " classes");
    pl::text::Split split = pl::text::held_out(all, per_class, o.seed);
    data = {std::move(split.rest), std::move(split.held_out)};
  } else {
    pl::text::DatasetOptions const same{o.text_columns, o.label_column, all.classes, {}};
    pl::text::Dataset test = pl::text::read_dataset(o.test_data, same);
    data = {std::move(all), std::move(test)};
  }
  if (o.k_shot != 0) {
    data.train = pl::text::k_shot(data.train, static_cast<std::size_t>(o.k_shot), o.seed);
  }
  return data;
}

} // namespace examples
