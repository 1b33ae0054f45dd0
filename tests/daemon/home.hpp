// A user of their own for one test: private XDG directories, the program, and what it takes to talk
// to its daemon. The daemon ends with the test.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/scripted_editor.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/transport/control_client.hpp"
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
  // The same of another build of the program.
  daemon::ScriptedEditor editor_of(const std::string& program, bool quiet = false) const;
  // Runs `hearth ARGUMENTS` through the shell, to its end. stdin from `input`.
  Finished hearth(const std::string& arguments, const std::string& input = "") const;
  // A line as this user types it into a bash: in their home, which has nothing in it but what
  // earlier lines left there, with hearth on the PATH.
  Finished bash(const std::string& line, const std::string& input = "") const;
  // As hearth(), of another build of the program, with more in its environment.
  Finished hearth_of(const std::string& program, const std::string& arguments,
                     const std::map<std::string, std::string>& more = {},
                     const std::string& input = "") const;

  std::optional<daemon::Connected> control() const;
  Json status() const;  // fails the test where no daemon runs
  pid_t daemon_pid() const;
  void wait_until_gone() const;                            // until no daemon runs
  std::map<std::string, std::string> environment() const;  // what makes the program this user's

 private:
  Finished run(const std::vector<std::string>& command,
               const std::map<std::string, std::string>& environment) const;

  TemporaryDirectory directory_;
  daemon::Paths paths_;
};

std::string program();  // hearth's path
bool contains(std::string_view text, std::string_view part);
unsigned mode_of(const std::filesystem::path& path);  // its permissions
// What `hearth status` shows, with the lines joined that were broken for the terminal's width.
std::string unbroken(std::string shown);

}  // namespace hearth::tests
