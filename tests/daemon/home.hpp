// A user of their own for one test: private XDG directories, the program, and what it takes to talk
// to its daemon. The daemon ends with the test.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/client.hpp"
#include "daemon/paths.hpp"
#include "daemon/scripted_editor.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

using Json = nlohmann::json;

struct Finished {
  int code = 0;
  std::string out;
  std::string err;
};

class Home {
 public:
  Home();
  ~Home();

  const daemon::Paths& paths() const { return paths_; }
  void configure(const std::string& toml);

  // A child `hearth lsp` of this user. `quiet`: it is expected to complain.
  daemon::ScriptedEditor editor(bool quiet = false) const;
  // Runs `hearth ARGUMENTS` through the shell, to its end. stdin from `input`.
  Finished hearth(const std::string& arguments, const std::string& input = "") const;

  std::optional<daemon::Connected> control() const;
  Json status() const;  // fails the test where no daemon runs
  pid_t daemon_pid() const;
  void wait_until_gone() const;  // until no daemon runs

 private:
  std::map<std::string, std::string> environment() const;

  TemporaryDirectory directory_;
  daemon::Paths paths_;
};

std::string program();  // hearth's path

}  // namespace hearth::tests
