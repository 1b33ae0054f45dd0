// A program on a terminal of its own, as a person sits before it: types, looks at what is shown.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "daemon/platform/fd.hpp"

namespace hearth::tests {

class Terminal {
 public:
  // Starts the command with these variables added to the environment.
  Terminal(const std::vector<std::string>& command,
           const std::map<std::string, std::string>& environment, unsigned short columns = 80);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();  // kills it where it still runs

  void type(const std::string& keys) const;
  // Reads until `text` was shown since the last call, and returns what was shown, escape sequences
  // included; fails the test after a minute or at the end.
  std::string until(const std::string& text);
  // Until keys reach the program one by one: what is typed before may be lost.
  void until_raw() const;
  // Reads to the end; the exit code, or 128 and the signal. What was shown meanwhile is in rest().
  int finish();
  const std::string& rest() const { return shown_; }
  void signal(int number) const;

 private:
  bool read_more();

  daemon::Fd screen_;
  pid_t child_ = -1;
  std::string shown_;  // since the last until()
};

// Without escape sequences and carriage returns.
std::string plain(const std::string& shown);

}  // namespace hearth::tests
