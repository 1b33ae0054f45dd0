// Private homes for tests.
#include "tests/daemon/home.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/lock.hpp"
#include "tests/logs_of_case.hpp"

namespace hearth::tests {

std::string program() {
  return HEARTH_BINARY_DIR "/hearth";
}

Home::Home() {
  const auto& root = directory_.path();
  for (const char* each : {"run", "state", "config", "data"}) {
    std::filesystem::create_directory(root / each);
  }
  std::filesystem::create_directory(root / "config/hearth");
  paths_.runtime = root / "run/hearth";
  paths_.state = root / "state/hearth";
  paths_.config = root / "config/hearth/config.toml";
  paths_.models = root / "data/hearth/models";
  logs_of_case().insert(paths_.log().string());
}

Home::~Home() {
  try {
    daemon::stop_daemon(paths_, true);
  } catch (const daemon::Error& error) {
    MESSAGE("the daemon did not stop: " << error.what());
  }
  logs_of_case().erase(paths_.log().string());
}

void Home::configure(const std::string& toml) {
  daemon::write_file(paths_.config, toml);
}

std::map<std::string, std::string> Home::environment() const {
  const auto& root = directory_.path();
  return {{"XDG_RUNTIME_DIR", (root / "run").string()},
          {"XDG_STATE_HOME", (root / "state").string()},
          {"XDG_CONFIG_HOME", (root / "config").string()},
          {"XDG_DATA_HOME", (root / "data").string()},
          {"HEARTH_MODEL", ""}};
}

daemon::ScriptedEditor Home::editor(bool quiet) const {
  return editor_of(program(), quiet);
}

daemon::ScriptedEditor Home::editor_of(const std::string& program, bool quiet) const {
  return daemon::ScriptedEditor({program, "lsp"}, environment(), quiet);
}

Finished Home::hearth(const std::string& arguments, const std::string& input) const {
  return hearth_of(program(), arguments, {}, input);
}

Finished Home::hearth_of(const std::string& program, const std::string& arguments,
                         const std::map<std::string, std::string>& more,
                         const std::string& input) const {
  const auto in = directory_.path() / "stdin";
  const auto err = directory_.path() / "stderr";
  daemon::write_file(in, input);
  auto variables = environment();
  variables.insert(more.begin(), more.end());
  return run(
      {"/bin/sh", "-c", program + " " + arguments + " < " + in.string() + " 2> " + err.string()},
      variables);
}

Finished Home::bash(const std::string& line, const std::string& input) const {
  const auto home = directory_.path() / "home";
  std::filesystem::create_directory(home);
  auto variables = environment();
  variables["HOME"] = home.string();
  for (const char* name : {"XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"})
    variables[name] = "";  // as most people have them
  const auto in = directory_.path() / "stdin";
  daemon::write_file(in, input);
  const char* path = std::getenv("PATH");
  variables["PATH"] = std::string(HEARTH_BINARY_DIR ":") + (path == nullptr ? "" : path);
  const auto err = directory_.path() / "stderr";
  return run({"/bin/bash", "-c",
              "cd && exec < " + in.string() + " 2> " + err.string() + " && eval \"$0\"", line},
             variables);
}

Finished Home::run(const std::vector<std::string>& command,
                   const std::map<std::string, std::string>& environment) const {
  daemon::Child child(command, environment);
  Finished finished;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(child.from(), buffer, sizeof buffer);
    if (got <= 0) break;
    finished.out.append(buffer, static_cast<std::size_t>(got));
  }
  finished.code = child.wait();
  finished.err = daemon::read_file(directory_.path() / "stderr", 1 << 20);
  return finished;
}

std::optional<daemon::Connected> Home::control() const {
  return daemon::connect(paths_, daemon::ConnectionKind::control);
}

Json Home::status() const {
  auto connected = control();
  if (!connected) MESSAGE("its log: " << daemon::read_file(paths_.log(), 1 << 20));
  REQUIRE(connected);
  return daemon::ask(*connected, "status");
}

pid_t Home::daemon_pid() const {
  return status()["pid"].get<pid_t>();
}

void Home::wait_until_gone() const {
  while (daemon::holder(paths_.lock())) ::poll(nullptr, 0, 10);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

unsigned mode_of(const std::filesystem::path& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::string unbroken(std::string shown) {
  const std::string label(11, ' ');
  for (std::size_t at = 0; (at = shown.find("\n" + label, at)) != std::string::npos;) {
    shown.replace(at, label.size() + 1, " ");
  }
  return shown;
}

}  // namespace hearth::tests
