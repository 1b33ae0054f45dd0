// Tells when names in a directory come or go, or files are written, without waking up in between.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "daemon/platform/asio_host.hpp"

namespace hearth::daemon {

// On the Host's thread, which runs `changed` after every change, after the directory's own removal
// too, and maybe without a reason. Where the system grants no watch it is run every 10 s instead.
class DirectoryWatch {
 public:
  // `contents`: also when a file in it was written and closed. `changed` must not destroy the
  // watch.
  DirectoryWatch(AsioHost& host, const std::filesystem::path& directory,
                 std::function<void()> changed, bool contents = false);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
