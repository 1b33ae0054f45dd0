// Follows config.toml while the daemon runs: what can be done without loading the model is done at
// once, and the rest is said.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemon/config.hpp"
#include "daemon/platform/asio_host.hpp"
#include "daemon/platform/directory_watch.hpp"

namespace hearth::daemon {

// On the Host's thread. Watches the directory, as editors put another file in the file's place;
// where there is none, that above it. Where the file is a link, as managers of dotfiles make them,
// the directory that it leads to as well.
class ConfigWatch {
 public:
  struct Heard {
    std::function<void()> applied;  // running() has changed
    // What a person should know: "config.toml changed: model.path needs `hearth restart`", or which
    // line is wrong; empty: that is over. Once for each such state of the file.
    std::function<void(const std::string& notice)> noticed;
  };
  // `running`: what the process was started with. The first look is taken from the host's loop.
  ConfigWatch(AsioHost& host, std::filesystem::path file, Config running, Heard heard);
  ~ConfigWatch();
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

  const Config& running() const { return running_; }
  // The last notice, as long as it holds; else empty.
  const std::string& notice() const { return notice_; }

 private:
  void look_soon();
  void look();
  // A directory by its identity, as its name may lead elsewhere later.
  struct Watched {
    std::pair<dev_t, ino_t> directory{};
    std::unique_ptr<DirectoryWatch> watch;
  };
  void watch();
  void watch(Watched& watched, const std::filesystem::path& file);
  void read();

  AsioHost& host_;
  const std::filesystem::path file_;
  Config running_;
  const Heard heard_;
  std::string notice_;
  lsp::Host::TimerId timer_ = 0;
  Watched named_;   // of the file's name
  Watched target_;  // of what that leads to; none where it is no link
};

}  // namespace hearth::daemon
