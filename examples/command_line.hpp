// SPDX-License-Identifier: Apache-2.0
// What the command lines of our programs share: checks of what an option is given, and errors of one line.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace examples {

/// A check of CLI11: a whole number in a range.
inline CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  auto const check = [least, most](std::string& text) -> std::string {
    std::int64_t value = 0;
    char const* const end = text.data() + text.size();
    auto const [stop, error] = std::from_chars(text.data(), end, value);
    if (stop != end || error == std::errc::invalid_argument) {
      return "\"" + text + "\" is not a whole number";
    }
    if (error != std::errc() || value > most) {
      return text + " is too large; give at most " + std::to_string(most);
    }
    return value < least ? text + " is too small; give at least " + std::to_string(least) : std::string();
  };
  return {check, ""};
}

/// A check of CLI11: a number that is above zero as a float, or zero where that is allowed.
inline CLI::Validator number(bool zero_allowed) {
  auto const check = [zero_allowed](std::string& text) -> std::string {
    char* stop = nullptr;
    float const value = std::strtof(text.c_str(), &stop);
    bool const whole = !text.empty() && *stop == '\0' && std::isfinite(value);
    bool const positive = value > 0.0F || (zero_allowed && value == 0.0F);
    return whole && positive
               ? std::string()
               : "\"" + text + "\" is not a " + (zero_allowed ? "number from 0" : "positive number");
  };
  return {check, ""};
}

/// A check of CLI11: a positive number, or "auto", which becomes 0.
inline CLI::Validator number_or_auto() {
  auto const check = [](std::string& text) -> std::string {
    if (text == "auto") {
      text = "0";
      return {};
    }
    std::string const wrong = number(false)(text);
    return wrong.empty() ? wrong : wrong + ", nor \"auto\"";
  };
  return {check, ""};
}

/// A check of CLI11: one of the words that the description lists.
inline CLI::Validator one_of(std::vector<std::string> words) {
  return CLI::IsMember(std::move(words)).description("");
}

/// Calls f(), which returns the program's exit status; an error is one line on stderr, and status 1. `memory`
/// says what to do when there is too little.
template <class F>
int run_program(std::string_view program, std::string_view memory, F&& f) {
  try {
    return f();
  } catch (std::bad_alloc const&) {
    std::cerr << program << ": out of memory" << (memory.empty() ? "" : "; ") << memory << '\n';
  } catch (std::exception const& error) {
    std::cerr << program << ": " << error.what() << '\n';
  }
  return 1;
}

/// Reads the command line. Returns false with an exit status in `status` when there is nothing to do (--help)
/// or something is wrong, which is then said in one line.
inline bool parse_or_explain(CLI::App& app, int argc, char** argv, int& status) {
  try {
    app.parse(argc, argv);
  } catch (CLI::CallForHelp const& help) {
    status = app.exit(help);
    return false;
  } catch (CLI::ExtrasError const&) {
    std::cerr << app.get_name() << ": " << app.remaining().front()
              << " is not known; --help lists the options\n";
    status = 2;
    return false;
  } catch (CLI::ParseError const& error) {
    std::cerr << app.get_name() << ": " << error.what() << " (--help tells more)\n";
    status = 2;
    return false;
  }
  return true;
}

/// A command line cannot hold a line end easily: \n stands for one, \\ for a backslash.
inline std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool const escape = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'n' || text[i + 1] == '\\');
    result += escape ? (text[++i] == 'n' ? '\n' : '\\') : text[i];
  }
  return result;
}

} // namespace examples
