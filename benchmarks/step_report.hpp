// SPDX-License-Identifier: Apache-2.0
// What bench_step found out: as JSON for programs, in a few lines for a person.
#pragma once

#include "machine.hpp"
#include "step_options.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/train/resources.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <iomanip>
#include <ostream>
#include <string>
#include <vector>

namespace benchmarks {

/// Seconds are medians over the steps.
struct StepFigures {
  double forward_seconds = 0.0; ///< one point without noise
  double step_seconds = 0.0;    ///< all points, and the update
  double update_seconds = 0.0;  ///< of which the update
  double operations = 0.0;      ///< of one forward pass
  double loss = 0.0;            ///< at the first point of the last step: that there was something to compute
  std::size_t threads = 0, parameters = 0, trained = 0, weights_bytes = 0, peak_rss_bytes = 0;
  std::size_t private_dirty_bytes = 0; ///< behind the last step: what the system cannot drop
};

/// The middle of `values`, or of the two in the middle their mean. There must be one.
[[nodiscard]] inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::size_t const half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2.0;
}

/// The step's time in units of as many bare forward passes as it has points.
[[nodiscard]] inline double step_over_forwards(StepOptions const& o, StepFigures const& f) {
  return f.step_seconds / (static_cast<double>(o.points) * f.forward_seconds);
}

[[nodiscard]] inline double gflops(StepOptions const& o, StepFigures const& f) {
  return static_cast<double>(o.points) * f.operations / f.step_seconds * 1e-9;
}

/// All settings and figures as a JSON object that ends in a line feed.
[[nodiscard]] inline std::string to_json(StepOptions const& o, StepFigures const& f) {
  nlohmann::ordered_json const json{{"program", "bench_step"},
                                    {"model", o.model},
                                    {"storage", o.storage},
                                    {"activations", o.activations},
                                    {"adapter", o.adapter},
                                    {"perturbation", o.perturbation},
                                    {"points", o.points},
                                    {"batch", o.batch},
                                    {"tokens", o.tokens},
                                    {"threads", f.threads},
                                    {"steps", o.steps},
                                    {"processor", processor_name()},
                                    {"compiler", compiler_name()},
                                    {"parameters", f.parameters},
                                    {"trained", f.trained},
                                    {"weights_bytes", f.weights_bytes},
                                    {"peak_rss_bytes", f.peak_rss_bytes},
                                    {"private_dirty_bytes", f.private_dirty_bytes},
                                    {"forward_seconds", f.forward_seconds},
                                    {"step_seconds", f.step_seconds},
                                    {"update_seconds", f.update_seconds},
                                    {"step_over_forwards", step_over_forwards(o, f)},
                                    {"gflops", gflops(o, f)},
                                    {"loss", f.loss}};
  // a path may hold bytes that are no UTF-8
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

/// Seconds, milliseconds or microseconds, with three digits or more.
[[nodiscard]] inline std::string in_words(double seconds) {
  double const scale = seconds >= 1.0 || seconds == 0.0 ? 1.0 : seconds >= 1e-3 ? 1e3 : 1e6;
  char const* const unit = scale == 1.0 ? " s" : scale == 1e3 ? " ms" : " us";
  double const value = scale * seconds;
  int const decimals = value >= 100.0 ? 0 : value >= 10.0 ? 1 : 2;
  return pocketllm::concat(std::fixed, std::setprecision(decimals), value, unit);
}

/// "1 point", "2 points"
template <class Count>
[[nodiscard]] std::string counted(Count count, char const* what) {
  return pocketllm::concat(count, ' ', what, count == 1 ? "" : "s");
}

inline void print(std::ostream& out, StepOptions const& o, StepFigures const& f) {
  using pocketllm::concat, pocketllm::train::format_bytes;
  bool const noise = o.perturbation != "none";
  double const millions = static_cast<double>(f.parameters) / 1e6;
  out << "model     " << o.model << ": " << concat(std::setprecision(4), millions) << " million weights, "
      << (f.trained == f.parameters
              ? "all"
              : concat(std::setprecision(4), static_cast<double>(f.trained) / 1e6, " million"))
      << " trained, " << format_bytes(f.weights_bytes) << " as " << o.storage
      << (o.activations == "f32" ? "" : ", activations as " + o.activations) << '\n'
      << "machine   " << processor_name() << ", " << counted(f.threads, "thread") << '\n'
      << "forward   " << in_words(f.forward_seconds) << "  (" << o.batch << " x " << o.tokens
      << " tokens, 1 point, no noise)\n"
      << "step      " << in_words(f.step_seconds) << "  (" << counted(o.points, "point") << ", "
      << (noise ? o.perturbation : "no noise")
      << ") = " << concat(std::fixed, std::setprecision(2), step_over_forwards(o, f)) << " x "
      << counted(o.points, "forward") << '\n';
  if (noise) {
    out << "  update  " << in_words(f.update_seconds) << '\n';
  }
  out << "speed     " << concat(std::setprecision(3), gflops(o, f)) << " gflops\n"
      << "memory    " << format_bytes(f.peak_rss_bytes) << " at its peak, "
      << format_bytes(f.private_dirty_bytes) << " private and dirty at the end\n";
}

} // namespace benchmarks
