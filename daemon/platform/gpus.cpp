// Reads /sys/class/drm, /sys/bus/pci and /proc/driver/nvidia.
#include "daemon/platform/gpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// Of a line "0x1002"; 0: it is none.
unsigned long number(const fs::path& file) {
  const std::string line = first_line(file);
  try {
    return std::stoul(line, nullptr, 0);
  } catch (const std::exception&) {
    return 0;
  }
}

constexpr unsigned long nvidia = 0x10de;
constexpr unsigned long amd = 0x1002;
constexpr unsigned long intel = 0x8086;

std::string maker(unsigned long vendor) {
  if (vendor == amd) return "AMD";
  if (vendor == intel) return "Intel";
  return "another maker's";
}

// Processors that have no memory of their own to speak of: Intel's sit at the first bus, AMD's say
// that they were given less than a card has.
bool shares_memory(const fs::path& device, unsigned long vendor) {
  constexpr std::uint64_t smallest_card = std::uint64_t{1} << 30;
  if (vendor == amd) {
    const unsigned long bytes = number(device / "mem_info_vram_total");
    return bytes > 0 && bytes <= smallest_card;
  }
  std::error_code none;
  return vendor == intel && fs::canonical(device, none).filename() == "0000:00:02.0";
}

// "card0", and not "card0-HDMI-A-1" or "renderD128".
bool is_card(const std::string& name) {
  constexpr std::string_view prefix = "card";
  return name.size() > prefix.size() && name.starts_with(prefix) &&
         std::all_of(name.begin() + prefix.size(), name.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

std::vector<UnusedGpu> unused_gpus(const fs::path& root) {
  std::error_code none;
  std::vector<UnusedGpu> found;
  for (const auto& card : fs::directory_iterator(root / "sys/class/drm", none)) {
    if (!is_card(card.path().filename())) continue;
    const fs::path device = card.path() / "device";
    const unsigned long vendor = number(device / "vendor");
    if (vendor == 0 || vendor == nvidia) continue;  // a virtual one, or CUDA's
    found.push_back(
        {fmt::format("{} GPU {:04x}:{:04x}", maker(vendor), vendor, number(device / "device")),
         shares_memory(device, vendor)
             ? "it shares the host's memory, which the processor reads as fast"
             : "hearth computes on GPUs by CUDA, which is NVIDIA's"});
  }
  std::ranges::sort(found, {}, &UnusedGpu::name);
  return found;
}

std::string pcie_link(const std::string& address, const fs::path& root) {
  if (address.empty() || address.find('/') != std::string::npos) return "";
  std::string lower = address;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const fs::path device = root / "sys/bus/pci/devices" / lower;
  // "16.0 GT/s PCIe"
  const std::string speed = first_line(device / "max_link_speed");
  constexpr std::string_view speeds[] = {"2.5 ", "5.0 ", "8.0 ", "16.0 ", "32.0 ", "64.0 "};
  const unsigned long lanes = number(device / "max_link_width");
  for (std::size_t i = 0; i < std::size(speeds); ++i)
    if (lanes > 0 && speed.starts_with(speeds[i])) return fmt::format("PCIe {}x{}", i + 1, lanes);
  return "";
}

std::string nvidia_driver(const fs::path& root) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 …"
  const std::string line = first_line(root / "proc/driver/nvidia/version");
  // or "… Open Kernel Module for x86_64  580.65.06  Release Build …"
  std::istringstream words(line);
  bool behind = false;
  for (std::string word; words >> word;) {
    if (behind && word.find_first_not_of("0123456789.") == std::string::npos) return word;
    behind = behind || word == "Module";
  }
  return "";
}

}  // namespace hearth::daemon
