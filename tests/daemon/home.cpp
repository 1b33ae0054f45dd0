// Private homes for tests.
#include "tests/daemon/home.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <csignal>

#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "daemon/lock.hpp"

namespace hearth::tests {

std::string program() {
  return HEARTH_BINARY_DIR "/hearth";
}

Home::Home() {
  const auto& root = directory_.path();
  for (const char* each : {"run", "state", "config"}) {
    std::filesystem::create_directory(root / each);
  }
  std::filesystem::create_directory(root / "config/hearth");
  paths_.runtime = root / "run/hearth";
  paths_.state = root / "state/hearth";
  paths_.config = root / "config/hearth/config.toml";
}

Home::~Home() {
  try {
    daemon::stop_daemon(paths_);
  } catch (const daemon::Error& error) {
    MESSAGE("the daemon did not stop: " << error.what());
  }
}

void Home::configure(const std::string& toml) {
  daemon::write_file(paths_.config, toml);
}

std::map<std::string, std::string> Home::environment() const {
  const auto& root = directory_.path();
  return {{"XDG_RUNTIME_DIR", (root / "run").string()},
          {"XDG_STATE_HOME", (root / "state").string()},
          {"XDG_CONFIG_HOME", (root / "config").string()},
          {"HEARTH_MODEL", ""}};
}

daemon::ScriptedEditor Home::editor(bool quiet) const {
  return daemon::ScriptedEditor({program(), "lsp"}, environment(), quiet);
}

Finished Home::hearth(const std::string& arguments, const std::string& input) const {
  const auto in = directory_.path() / "stdin";
  const auto err = directory_.path() / "stderr";
  daemon::write_file(in, input);
  daemon::Child child(
      {"/bin/sh", "-c", program() + " " + arguments + " < " + in.string() + " 2> " + err.string()},
      environment());
  Finished finished;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(child.from(), buffer, sizeof buffer);
    if (got <= 0) break;
    finished.out.append(buffer, static_cast<std::size_t>(got));
  }
  finished.code = child.wait();
  finished.err = daemon::read_file(err, 1 << 20);
  return finished;
}

std::optional<daemon::Connected> Home::control() const {
  return daemon::connect(paths_, daemon::ConnectionKind::control);
}

Json Home::status() const {
  auto connected = control();
  REQUIRE(connected);
  return daemon::ask(*connected, "status");
}

pid_t Home::daemon_pid() const {
  return status()["pid"].get<pid_t>();
}

void Home::wait_until_gone() const {
  while (daemon::holder(paths_.lock())) ::poll(nullptr, 0, 10);
}

}  // namespace hearth::tests
