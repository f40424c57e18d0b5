// SPDX-License-Identifier: Apache-2.0
// The text of --help: 80 columns wide, each option with its default.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <sstream>
#include <string>

namespace examples {

/// `words` in lines of at most 80 columns, all but the first one indented by `indent`. `column` is where the
/// first one begins.
inline std::string wrapped(std::string const& words, std::size_t indent, std::size_t column) {
  std::istringstream in(words);
  std::string text, word;
  while (in >> word) {
    bool const first = column <= indent;
    if (!first && column + 1 + word.size() > 80) {
      text += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      text += " ";
      ++column;
    }
    text += word;
    column += word.size();
  }
  return text + "\n";
}

/// One option: name and what it takes at the left, its description and default at the right.
inline std::string option_help(CLI::Option const& option) {
  constexpr std::size_t left = 25; // the longest name with what it takes, and two spaces
  std::string const type = option.get_type_size() == 0 ? "" : " " + option.get_type_name();
  std::string line = "  " + option.get_name(false, true) + type;
  line += line.size() + 2 > left ? "\n" + std::string(left, ' ') : std::string(left - line.size(), ' ');
  std::string words = option.get_description();
  std::string const standard = option.get_default_str();
  words += option.get_required() ? " (required)" : standard.empty() ? "" : " (default: " + standard + ")";
  return line + wrapped(words, left, left);
}

/// The whole text, as CLI11 asks for it.
inline std::string help_text(CLI::App const* app, std::string const&, CLI::AppFormatMode) {
  std::string text = app->get_description() + "\n";
  for (std::string const& group : app->get_groups()) {
    auto const options =
        app->get_options([&](CLI::Option const* option) { return option->get_group() == group; });
    text += options.empty() ? "" : "\n" + group + ":\n";
    for (CLI::Option const* option : options) {
      text += option_help(*option);
    }
  }
  return text;
}

} // namespace examples
