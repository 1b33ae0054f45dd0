// The machine's graphics processors as the kernel lists them: those that hearth does not use, and
// how any is linked. Opens none.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hearth::daemon {

// A processor that hearth does not compute on.
struct UnusedGpu {
  std::string name;  // "AMD GPU 1002:73bf"
  std::string why;
};
// Those of other makers than NVIDIA. `root` stands for "/" in tests, here and below.
std::vector<UnusedGpu> unused_gpus(const std::filesystem::path& root = "/");

// The widest link of the device at that address of the PCI bus: "PCIe 4x16". Empty: not known.
std::string pcie_link(const std::string& address, const std::filesystem::path& root = "/");

// Of NVIDIA's kernel module: "535.183.01". Empty: there is none.
std::string nvidia_driver(const std::filesystem::path& root = "/");

}  // namespace hearth::daemon
