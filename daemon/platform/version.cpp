// The build's mark is a hash of its executable's identity in the file system.
#include "daemon/platform/version.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>

#include "daemon/platform/error.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {

std::string version() {
  return HEARTH_VERSION;
}

std::string build_type() {
  return HEARTH_BUILD_TYPE;
}

std::string compiler() {
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

const std::filesystem::path& executable() {
  static const std::filesystem::path path = [] {
    std::error_code failed;
    auto found = std::filesystem::read_symlink("/proc/self/exe", failed);
    if (failed) throw Error("cannot find hearth's own executable: " + failed.message());
    return found;
  }();
  return path;
}

const std::string& build() {
  static const std::string text = [] {
    struct stat info {};
    if (::stat("/proc/self/exe", &info) != 0) return version();
    const std::uint64_t mark =
        lsp::content_hash(std::to_string(info.st_size) + " " + std::to_string(info.st_mtim.tv_sec) +
                          " " + std::to_string(info.st_mtim.tv_nsec));
    char hex[17];
    std::snprintf(hex, sizeof hex, "%08llx", static_cast<unsigned long long>(mark & 0xffffffffu));
    return version() + "+" + hex;
  }();
  return text;
}

}  // namespace hearth::daemon
