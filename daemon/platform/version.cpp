// The build's mark is made of its executable's identity in the file system.
#include "daemon/version.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>

#include "daemon/error.hpp"

namespace hearth::daemon {

std::string version() {
  return HEARTH_VERSION;
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
    std::uint64_t mark = 14695981039346656037u;  // FNV-1a over the numbers
    for (const auto number :
         {static_cast<std::uint64_t>(info.st_size), static_cast<std::uint64_t>(info.st_mtim.tv_sec),
          static_cast<std::uint64_t>(info.st_mtim.tv_nsec)}) {
      mark = (mark ^ number) * 1099511628211u;
    }
    char hex[17];
    std::snprintf(hex, sizeof hex, "%08llx", static_cast<unsigned long long>(mark & 0xffffffffu));
    return version() + "+" + hex;
  }();
  return text;
}

}  // namespace hearth::daemon
