// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/train/confusion_table.hpp>
#include <pocketllm/train/metrics.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace test_metrics {

using namespace pocketllm;
using namespace pocketllm::train;
using Indices = std::vector<std::size_t>;

TEST_CASE("metrics of three classes, worked out by hand") {
  // class 0: 2 of 3 found, 2 of 2 right; class 1: 1 of 2 found, 1 of 3 right; class 2: 1 of 1 found, 1 of 1
  // right
  Metrics const metrics = compute_metrics(Indices{0, 0, 0, 1, 1, 2}, Indices{0, 0, 1, 1, 1, 2}, 3);
  CHECK(metrics.confusion == Indices{2, 1, 0, 0, 2, 0, 0, 0, 1});
  CHECK(metrics.examples == 6);
  CHECK(metrics.accuracy == doctest::Approx(5.0 / 6));
  CHECK(metrics.classes[0].precision == 1.0);
  CHECK(metrics.classes[0].recall == doctest::Approx(2.0 / 3));
  CHECK(metrics.classes[0].f1 == doctest::Approx(0.8));
  CHECK(metrics.classes[0].examples == 3);
  CHECK(metrics.classes[1].precision == doctest::Approx(2.0 / 3));
  CHECK(metrics.classes[1].recall == 1.0);
  CHECK(metrics.classes[1].f1 == doctest::Approx(0.8));
  CHECK(metrics.classes[2].f1 == 1.0);
  CHECK(metrics.macro_f1 == doctest::Approx((0.8 + 0.8 + 1.0) / 3));
}

TEST_CASE("classes that do not occur, are never predicted, or neither, count with 0") {
  Metrics const metrics = compute_metrics(Indices{0, 0, 1}, Indices{0, 2, 0}, 4);
  CHECK(metrics.classes[0].f1 == doctest::Approx(0.5));
  for (std::size_t c = 1; c < 4; ++c) {
    CHECK(metrics.classes[c].precision == 0.0);
    CHECK(metrics.classes[c].recall == 0.0);
    CHECK(metrics.classes[c].f1 == 0.0);
  }
  CHECK(metrics.macro_f1 == doctest::Approx(0.125));
  Metrics const none = metrics_of(Indices(4), 2);
  CHECK(none.accuracy == 0.0);
  CHECK(none.macro_f1 == 0.0);
}

TEST_CASE("labels and predictions that cannot be compared are refused") {
  auto const complaint = [](Indices const& labels, Indices const& predictions) {
    return test::error_of([&] { static_cast<void>(compute_metrics(labels, predictions, 2)); });
  };
  CHECK(complaint({}, {}) ==
        "metrics: 0 labels and 0 predictions; there must be as many of both, and at least one");
  CHECK(complaint({0, 1}, {0}).starts_with("metrics: 2 labels and 1 predictions"));
  CHECK(complaint({0, 1}, {0, 2}) ==
        "metrics: example 1 has label 1 and prediction 2; there are 2 classes, counted from 0");
  CHECK(complaint({2}, {0}).starts_with("metrics: example 0 has label 2"));
  CHECK(test::error_of([] { static_cast<void>(metrics_of(Indices(3), 2)); }) ==
        "metrics: 3 counts do not make a confusion matrix of 2 classes");
}

TEST_CASE("the mean loss is summed in double") {
  std::vector<float> losses(20'000'000 / 100, 0.1F);
  losses.front() = 1e6F; // in float, each 0.1 added to 1e6 would become 0.125
  CHECK(mean_loss(losses) == doctest::Approx((1e6 + 199'999 * 0.1) / 200'000).epsilon(1e-7));
  CHECK(std::isnan(mean_loss({})));
}

TEST_CASE("the confusion table is aligned, also under names that are not ASCII") {
  std::vector<std::string> const names{"ham", "sp\u00e4m"};
  CHECK(confusion_table(metrics_of({290, 10, 20, 1280}, 2), names) ==
        "label \\ predicted  ham  sp\u00e4m  precision  recall      F1\n"
        "ham                290    10     93.5 %  96.7 %  95.1 %\n"
        "sp\u00e4m                20  1280     99.2 %  98.5 %  98.8 %\n");
  CHECK(test::error_of([&] { static_cast<void>(confusion_table(metrics_of(Indices(9), 3), names)); }) ==
        "confusion table: 2 names for 3 classes");
}

} // namespace test_metrics
