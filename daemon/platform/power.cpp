// Reads the power supplies that the kernel lists.
#include "daemon/platform/power.hpp"

#include <fstream>
#include <string>
#include <system_error>

namespace hearth::daemon {
namespace {

std::string first_word(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

}  // namespace

bool on_battery(const std::filesystem::path& root) {
  std::error_code none;
  bool discharging = false;
  for (const auto& supply :
       std::filesystem::directory_iterator(root / "sys/class/power_supply", none)) {
    const std::string type = first_word(supply.path() / "type");
    // A mouse has a battery, too.
    if (first_word(supply.path() / "scope") == "Device") continue;
    if (type == "Mains" && first_word(supply.path() / "online") == "1") return false;
    if (type == "Battery" && first_word(supply.path() / "status") == "Discharging")
      discharging = true;
  }
  return discharging;
}

}  // namespace hearth::daemon
