// The link of a CUDA device, for people.
#pragma once

#include <string>

#include "engine/options.hpp"

namespace hearth::daemon {

// "PCIe 4x16"; empty: not known. Asks the driver, which takes some milliseconds.
std::string link_of(kernels::Device device);

}  // namespace hearth::daemon
