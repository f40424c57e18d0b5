// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/train/metrics_log.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>

namespace test_metrics_log {

using namespace pocketllm;
using namespace pocketllm::train;

namespace {

MetricsRow step_row(std::uint64_t step) {
  MetricsRow row;
  row.step = step;
  row.loss = 0.1;
  row.learning_rate = 1e-6;
  row.seconds = 2.0;
  return row;
}

} // namespace

TEST_CASE("CSV has a header and empty cells, and each row is on disk at once") {
  test::TemporaryFolder const folder;
  MetricsLog log(folder.path() / "log.csv");
  std::string const header = "step,loss,learning_rate,seconds,eval_loss,accuracy,macro_f1\n";
  CHECK(folder.read("log.csv") == header);
  log.append(step_row(1));
  CHECK(folder.read("log.csv") == header + "1,0.1,1e-06,2.0,,,\n");
  MetricsRow row = step_row(2);
  row.loss = std::nan("");
  row.seconds = -INFINITY;
  row.accuracy = 1.0 / 3.0;
  log.append(row);
  CHECK(folder.read("log.csv") == header + "1,0.1,1e-06,2.0,,,\n2,nan,1e-06,-inf,,0.3333333333333333,\n");
}

TEST_CASE("CSV has columns for written answers where there are such, and keeps those it has") {
  test::TemporaryFolder const folder;
  using Open = MetricsLog::Open;
  MetricsRow row = step_row(3);
  row.exact_match = 0.25;
  row.answer_f1 = 0.5;
  std::string const common = "step,loss,learning_rate,seconds,eval_loss,accuracy,macro_f1";
  auto const path = folder.path() / "answers.csv";
  MetricsLog(path, Open::replace, MetricsLog::Of::answers).append(row);
  std::string const with = common + ",exact_match,answer_f1\n3,0.1,1e-06,2.0,,,,0.25,0.5\n";
  CHECK(folder.read("answers.csv") == with);
  MetricsLog(path, Open::append).append(row);
  CHECK(folder.read("answers.csv") == with + "3,0.1,1e-06,2.0,,,,0.25,0.5\n");
  auto const other = folder.path() / "other.csv";
  MetricsLog(other).append(row);
  MetricsLog(other, Open::append, MetricsLog::Of::answers).append(row);
  CHECK(folder.read("other.csv") == common + "\n3,0.1,1e-06,2.0,,,\n3,0.1,1e-06,2.0,,,\n");
  MetricsLog(folder.path() / "log.jsonl").append(row);
  CHECK(folder.read("log.jsonl") == "{\"step\":3,\"loss\":0.1,\"learning_rate\":1e-06,\"seconds\":2.0,"
                                    "\"exact_match\":0.25,\"answer_f1\":0.5}\n");
}

TEST_CASE("JSON lines leave out what was not measured, and have null for what is not a number") {
  test::TemporaryFolder const folder;
  MetricsLog log(folder.path() / "log.jsonl");
  log.append(step_row(1));
  MetricsRow row;
  row.step = std::numeric_limits<std::uint64_t>::max();
  row.eval_loss = std::nan("");
  row.macro_f1 = 0.5;
  log.append(row);
  CHECK(folder.read("log.jsonl") == "{\"step\":1,\"loss\":0.1,\"learning_rate\":1e-06,\"seconds\":2.0}\n"
                                    "{\"step\":18446744073709551615,\"eval_loss\":null,\"macro_f1\":0.5}\n");
}

TEST_CASE("a log is replaced or continued, with one header") {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "log.csv";
  MetricsLog(path, MetricsLog::Open::append).append(step_row(1));
  std::string const once = folder.read("log.csv");
  CHECK(once.starts_with("step,"));
  MetricsLog(path, MetricsLog::Open::append).append(step_row(2));
  CHECK(folder.read("log.csv") == once + "2,0.1,1e-06,2.0,,,\n");
  MetricsLog(path).append(step_row(1));
  CHECK(folder.read("log.csv") == once);
}

TEST_CASE("what cannot be written names the file") {
  test::TemporaryFolder const folder;
  auto const complaint = [&](char const* name) {
    return folder.error([&] { MetricsLog(folder.path() / name).append({}); });
  };
  CHECK(complaint("log.txt") == "log.txt: unknown kind of log; name it .csv or .jsonl");
  CHECK(complaint("none/log.csv") == "none/log.csv: cannot be written (No such file or directory); check the "
                                     "folder, its permissions and the space on the disk");
  if (std::filesystem::exists("/dev/full")) { // Linux: a disk without space
    std::filesystem::create_symlink("/dev/full", folder.path() / "full.csv");
    std::filesystem::create_symlink("/dev/full", folder.path() / "full.jsonl");
    for (char const* name : {"full.csv", "full.jsonl"}) {
      CHECK(complaint(name) == std::string(name) + ": cannot be written (No space left on device); check the "
                                                   "folder, its permissions and the space on the disk");
    }
  }
}

} // namespace test_metrics_log
