// What the kernel tells of graphics processors and of the power supply, from trees made for it.
#include "daemon/platform/gpus.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "daemon/platform/power.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

}  // namespace

TEST_CASE("GPUs of other makers are named, with why they are not used") {
  const TemporaryDirectory root;
  CHECK(unused_gpus(root.path()).empty());
  const fs::path drm = root.path() / "sys/class/drm";
  const auto card = [&](const char* name, const char* vendor, const char* device) {
    write(drm / name / "device/vendor", vendor);
    write(drm / name / "device/device", device);
  };
  card("card0", "0x1002", "0x73bf");
  write(drm / "card0/device/mem_info_vram_total", "17163091968");
  card("card1", "0x1002", "0x1681");
  write(drm / "card1/device/mem_info_vram_total", "536870912");
  card("card2", "0x10de", "0x2482");  // CUDA's to name
  card("card0-HDMI-A-1", "0x1002", "0x73bf");
  card("renderD128", "0x1002", "0x73bf");
  write(drm / "card4/device/vendor", "not a number");
  const fs::path integrated = root.path() / "sys/devices/0000:00:02.0";
  write(integrated / "vendor", "0x8086");
  write(integrated / "device", "0x9a49");
  fs::create_directories(drm / "card3");
  fs::create_directory_symlink(integrated, drm / "card3/device");

  const auto found = unused_gpus(root.path());
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "AMD GPU 1002:1681");
  CHECK(found[0].why.find("shares the host's memory") != std::string::npos);
  CHECK(found[1].name == "AMD GPU 1002:73bf");
  CHECK(found[1].why.find("CUDA") != std::string::npos);
  CHECK(found[2].name == "Intel GPU 8086:9a49");
  CHECK(found[2].why.find("shares the host's memory") != std::string::npos);
}

TEST_CASE("a device's link and the driver's version are read as the kernel writes them") {
  const TemporaryDirectory root;
  CHECK(pcie_link("0000:01:00.0", root.path()).empty());
  const fs::path device = root.path() / "sys/bus/pci/devices/0000:0a:00.0";
  write(device / "max_link_speed", "16.0 GT/s PCIe");
  write(device / "max_link_width", "8");
  CHECK(pcie_link("0000:0A:00.0", root.path()) == "PCIe 4x8");
  write(device / "max_link_speed", "Unknown");
  CHECK(pcie_link("0000:0A:00.0", root.path()).empty());
  CHECK(pcie_link("../0000:0a:00.0", root.path()).empty());

  CHECK(nvidia_driver(root.path()).empty());
  write(root.path() / "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024");
  CHECK(nvidia_driver(root.path()) == "535.183.01");
  write(root.path() / "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build");
  CHECK(nvidia_driver(root.path()) == "580.65.06");
}

TEST_CASE("a battery counts while it feeds the machine") {
  const TemporaryDirectory root;
  CHECK_FALSE(on_battery(root.path()));
  const fs::path supplies = root.path() / "sys/class/power_supply";
  write(supplies / "BAT0/type", "Battery");
  write(supplies / "BAT0/status", "Charging");
  CHECK_FALSE(on_battery(root.path()));
  write(supplies / "BAT0/status", "Discharging");
  CHECK(on_battery(root.path()));
  write(supplies / "AC/type", "Mains");
  write(supplies / "AC/online", "0");
  CHECK(on_battery(root.path()));
  write(supplies / "AC/online", "1");
  CHECK_FALSE(on_battery(root.path()));

  fs::remove_all(supplies);
  write(supplies / "mouse/type", "Battery");
  write(supplies / "mouse/scope", "Device");
  write(supplies / "mouse/status", "Discharging");
  CHECK_FALSE(on_battery(root.path()));
}
