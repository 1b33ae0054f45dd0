// Starting processes: the daemon, which must outlive its starter and has no terminal, and children
// that are spoken to over pipes.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

// Starts `command` in a session of its own, stdio at /dev/null, as nobody's child. What it writes
// to the descriptor that `--ready-fd`, appended to the command, names comes out of the returned
// end; its closing says that no more will. Throws Error.
Fd spawn_detached(std::vector<std::string> command);

// A child with pipes at its stdin and stdout. The destructor closes them and waits for its end.
class Child {
 public:
  // `environment` is added to this process's own. `quiet`: stderr at /dev/null.
  Child(const std::vector<std::string>& command,
        const std::map<std::string, std::string>& environment, bool quiet = false);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  int to() const { return to_.get(); }
  int from() const { return from_.get(); }
  void close_input() { to_.reset(); }
  int wait();  // its exit status, or 128 + the signal that ended it

 private:
  pid_t pid_ = -1;
  Fd to_;
  Fd from_;
};

}  // namespace hearth::daemon
