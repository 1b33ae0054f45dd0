// The name of this build, and the path of its executable.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::daemon {

std::string version();     // "0.1.0"
std::string build_type();  // CMake's: "Release"
std::string compiler();    // "g++ 12.2.0"

// Tells two builds apart: the version and a mark of the executable as it was when this process
// began to ask; later calls give the same.
const std::string& build();

const std::filesystem::path& executable();  // as it was at the first call

}  // namespace hearth::daemon
