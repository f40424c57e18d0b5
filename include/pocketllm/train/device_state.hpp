// SPDX-License-Identifier: Apache-2.0
// How warm a device is and how full its battery, as Linux and Android tell in sysfs.
#pragma once

#include <pocketllm/train/cores.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace pocketllm::train {

/// What a device tells of itself; nothing of what it does not tell.
struct DeviceState {
  std::optional<double> celsius; ///< the warmest of the battery and the zones of processor and case
  std::optional<double> battery; ///< 0 to 100 %
  bool charging = false;         ///< or full, or without a battery
};

namespace detail {

/// The first word of a file, or nothing.
[[nodiscard]] inline std::string sysfs_word(std::filesystem::path const& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

/// Adds a temperature if it can be one: sensors that are off say -40 or less, or something in another unit.
inline void add_celsius(DeviceState& state, double celsius) {
  if (celsius > -30.0 && celsius < 150.0) {
    state.celsius = std::max(state.celsius.value_or(celsius), celsius);
  }
}

/// The folders in `folder`, none if it cannot be read.
template <class F>
void for_each_folder(std::filesystem::path const& folder, F const& f) {
  std::error_code unreadable;
  for (std::filesystem::directory_iterator entry(folder, unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    f(entry->path());
  }
}

/// Whether a zone is of the processor or the case; others (modem, charger) are allowed to be hot.
[[nodiscard]] inline bool is_zone_of_interest(std::string const& type) {
  for (char const* part : {"cpu", "soc", "skin", "pkg", "battery"}) {
    if (type.find(part) != std::string::npos) {
      return true;
    }
  }
  return false;
}

} // namespace detail

/// What can be read now; nothing where a system has no such files or does not let an app read them. `sysfs`
/// is where it is mounted.
[[nodiscard]] inline DeviceState read_device_state(std::filesystem::path const& sysfs = "/sys") {
  constexpr double nothing = -1e9;
  DeviceState state;
  detail::for_each_folder(sysfs / "class/thermal", [&](std::filesystem::path const& zone) {
    if (detail::is_zone_of_interest(detail::sysfs_word(zone / "type"))) {
      detail::add_celsius(state, detail::sysfs_number(zone / "temp", nothing) / 1000.0);
    }
  });
  bool discharging = false;
  detail::for_each_folder(sysfs / "class/power_supply", [&](std::filesystem::path const& supply) {
    if (detail::sysfs_word(supply / "type") == "Battery" &&
        detail::sysfs_word(supply / "scope") != "Device") {
      detail::add_celsius(state, detail::sysfs_number(supply / "temp", nothing) / 10.0);
      double const percent = detail::sysfs_number(supply / "capacity", nothing);
      if (percent >= 0.0 && percent <= 100.0) {
        state.battery = percent;
      }
      discharging = discharging || detail::sysfs_word(supply / "status") == "Discharging";
    }
  });
  state.charging = !discharging;
  return state;
}

} // namespace pocketllm::train
