// SPDX-License-Identifier: Apache-2.0
// Cores, heat, battery and rest, on a sysfs made up of files.
#include "temporary_folder.hpp"
#include <pocketllm/train/cores.hpp>
#include <pocketllm/train/device_state.hpp>
#include <pocketllm/train/pacing.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace test_phone {

using namespace pocketllm;
using train::Pacing;
using Cores = std::vector<std::size_t>;

namespace {

void write(std::filesystem::path const& file, std::string const& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << '\n';
}

double seconds_of(auto const& f) {
  auto const began = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

} // namespace

TEST_CASE("big cores by capacity, by clock, or unknown") {
  test::TemporaryFolder const sys;
  auto const cpu = sys.path() / "devices/system/cpu";
  CHECK(train::big_cores(sys.path()).empty());
  char const* const clocks[] = {"1800000", "1800000", "2420000", "2840000"};
  for (int i = 0; i < 4; ++i) {
    write(cpu / concat("cpu", i) / "cpufreq/cpuinfo_max_freq", clocks[i]);
  }
  write(cpu / "cpufreq/policy0", "");
  CHECK(train::big_cores(sys.path()) == Cores{2, 3});
  char const* const capacities[] = {"250", "250", "480", "1024"};
  for (int i = 0; i < 4; ++i) {
    write(cpu / concat("cpu", i) / "cpu_capacity", capacities[i]);
  }
  CHECK(train::big_cores(sys.path()) == Cores{3});
  write(cpu / "cpu2/cpu_capacity", "512");
  CHECK(train::big_cores(sys.path()) == Cores{2, 3});
  write(cpu / "cpu3/online", "0");
  CHECK(train::big_cores(sys.path()) == Cores{2});
  write(cpu / "cpu3/online", "1");
  write(cpu / "cpu2/cpu_capacity", "480");
  CHECK(train::big_cores(sys.path()) == Cores{3});
  std::filesystem::remove(cpu / "cpu0/cpu_capacity"); // then the clocks count
  CHECK(train::big_cores(sys.path()) == Cores{2, 3});
}

#if defined(__linux__)
TEST_CASE("threads stay on the cores that were chosen and give way") {
  std::thread([] { // whose settings end with it
    train::stay_on(Cores{0});
    cpu_set_t set;
    std::thread([&] { sched_getaffinity(0, sizeof set, &set); }).join();
    CHECK(CPU_COUNT(&set) == 1);
    CHECK(CPU_ISSET(0, &set));
    CHECK_THROWS_WITH_AS(train::stay_on(Cores{}), doctest::Contains("cannot stay on 0 cores"), Error);
    CHECK_THROWS_WITH_AS(train::stay_on(Cores{100000}), doctest::Contains("core 100000"), Error);
    int const before = getpriority(PRIO_PROCESS, 0);
    train::give_way(1);
    CHECK(getpriority(PRIO_PROCESS, 0) == std::min(19, before + 1));
    CHECK_THROWS_WITH_AS(train::give_way(20), doctest::Contains("from 0 to 19"), Error);
  })
      .join();
}
#endif

TEST_CASE("temperatures and battery") {
  test::TemporaryFolder const sys;
  auto const none = train::read_device_state(sys.path());
  CHECK_FALSE(none.celsius);
  CHECK_FALSE(none.battery);
  CHECK(none.charging);
  auto const zone = sys.path() / "class/thermal";
  write(zone / "thermal_zone0/type", "modem1");
  write(zone / "thermal_zone0/temp", "90000");
  write(zone / "thermal_zone1/type", "cpu-1-0");
  write(zone / "thermal_zone1/temp", "41500");
  write(zone / "thermal_zone2/type", "cpu-1-1");
  write(zone / "thermal_zone2/temp", "-274000"); // off
  auto const battery = sys.path() / "class/power_supply/battery";
  write(battery / "type", "Battery");
  write(battery / "capacity", "56");
  write(battery / "status", "Discharging");
  auto const warm = train::read_device_state(sys.path());
  CHECK(warm.celsius.value() == doctest::Approx(41.5));
  CHECK(warm.battery.value() == 56.0);
  CHECK_FALSE(warm.charging);
  write(battery / "temp", "423");
  write(battery / "status", "Charging");
  auto const charging = train::read_device_state(sys.path());
  CHECK(charging.celsius.value() == doctest::Approx(42.3));
  CHECK(charging.charging);
  write(sys.path() / "class/power_supply/pen/type", "Battery"); // of a stylus
  write(sys.path() / "class/power_supply/pen/scope", "Device");
  write(sys.path() / "class/power_supply/pen/capacity", "3");
  CHECK(train::read_device_state(sys.path()).battery.value() == 56.0);
}

TEST_CASE("rest: a duty cycle, pauses with one message each, and stops that end them") {
  train::StopFlag flag;
  CHECK(seconds_of([&] { train::rest({}, 10.0, flag); }) < 1.0);
  CHECK(seconds_of([&] { train::rest(Pacing{.duty = 0.25}, 0.1, flag); }) >= 0.3);
  CHECK_THROWS_WITH_AS(train::rest(Pacing{.duty = 0.0}, 0.1, flag), doctest::Contains("duty cycle 0"), Error);
  CHECK_THROWS_AS(train::rest(Pacing{.duty = 1.5}, 0.1, flag), Error);

  int asked = 0;
  std::string said;
  Pacing pacing;
  pacing.reason_to_pause = [&]() -> std::string { return ++asked < 4 ? "hot" : ""; };
  pacing.paused = [&](std::string const& reason) { said += "paused: " + reason + "; "; };
  pacing.resumed = [&] { said += "resumed"; };
  pacing.ask_every = 0.01;
  train::rest(pacing, 0.0, flag);
  CHECK(asked == 4);
  CHECK(said == "paused: hot; resumed");

  pacing.reason_to_pause = [&]() -> std::string { // a stop ends a pause that would have no end
    flag.request();
    return "hot";
  };
  train::rest(pacing, 0.0, flag);
  CHECK(seconds_of([&] { train::rest(Pacing{.duty = 0.001}, 10.0, flag); }) < 1.0);
}

} // namespace test_phone
