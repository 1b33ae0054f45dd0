// Whether the machine runs on a battery.
#pragma once

#include <filesystem>

namespace hearth::daemon {

// `root` stands for "/" in tests. False where the system does not say.
bool on_battery(const std::filesystem::path& root = "/");

}  // namespace hearth::daemon
