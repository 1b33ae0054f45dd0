// fork and exec with no more between them than may be there.
#include "daemon/platform/spawn.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {
namespace {

std::array<Fd, 2> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  all.reserve(strings.size() + 1);
  for (auto& string : strings) all.push_back(string.data());
  all.push_back(nullptr);
  return all;
}

// In the child: what this process ignores or blocks is not the program's affair.
void reset_signals() {
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

Fd spawn_detached(std::vector<std::string> command) {
  auto [reader, writer] = make_pipe();
  // Above stdio whatever this process has closed, and open in the program.
  const Fd inherited(::fcntl(writer.get(), F_DUPFD, 3));
  if (!inherited) throw system_error("cannot copy a descriptor", errno);
  command.push_back("--ready-fd");
  command.push_back(std::to_string(inherited.get()));
  const auto arguments = pointers(command);

  const pid_t between = ::fork();
  if (between < 0) throw system_error("cannot start a process", errno);
  if (between == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    // An editor's descriptors must not live on in the daemon.
    if (inherited.get() > 3) ::close_range(3, static_cast<unsigned>(inherited.get() - 1), 0);
    ::close_range(static_cast<unsigned>(inherited.get() + 1), ~0u, 0);
    reset_signals();
    ::execv(arguments[0], arguments.data());
    const char failed[] = "its program cannot be run";
    [[maybe_unused]] const auto ignored = ::write(inherited.get(), failed, sizeof failed - 1);
    ::_exit(127);
  }
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  return std::move(reader);
}

Child::Child(const std::vector<std::string>& command,
             const std::map<std::string, std::string>& environment, bool quiet) {
  auto [child_in, to] = make_pipe();
  auto [from, child_out] = make_pipe();
  std::vector<std::string> strings = command;
  const auto arguments = pointers(strings);
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string variable = *each;
    if (!environment.contains(variable.substr(0, variable.find('='))))
      variables.push_back(variable);
  }
  for (const auto& [name, value] : environment)
    variables.push_back(std::string(name).append("=").append(value));
  const auto all_variables = pointers(variables);

  pid_ = ::fork();
  if (pid_ < 0) throw system_error("cannot start a process", errno);
  if (pid_ == 0) {
    ::dup2(child_in.get(), 0);
    ::dup2(child_out.get(), 1);
    if (quiet) ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    reset_signals();
    ::execve(arguments[0], arguments.data(), all_variables.data());
    ::_exit(127);
  }
  to_ = std::move(to);
  from_ = std::move(from);
}

Child::~Child() {
  to_.reset();
  from_.reset();
  if (pid_ > 0) wait();
}

int Child::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace hearth::daemon
