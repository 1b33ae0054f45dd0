// Tells when names in a directory come or go, without waking up in between.
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
  DirectoryWatch(AsioHost& host, const std::filesystem::path& directory,
                 std::function<void()> changed);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
