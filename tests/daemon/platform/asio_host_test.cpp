// The Host of the daemon: what it promises about its timers and its threads.
#include "daemon/platform/asio_host.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::TemporaryDirectory;
using std::chrono::milliseconds;

TEST_CASE("a timer that was cancelled does not run, even if it has expired meanwhile") {
  const TemporaryDirectory directory;
  Log log({}, hearth::lsp::LogLevel::error, false);
  AnswerFiles answers(directory.path(), milliseconds(0));
  AsioHost host(log, answers);
  int ran = 0;
  hearth::lsp::Host::TimerId first = 0;
  hearth::lsp::Host::TimerId second = 0;
  const auto cancel_both = [&] {
    ++ran;
    host.cancel_timer(first);
    host.cancel_timer(second);
    host.post([&] { host.stop(); });
  };
  first = host.after(milliseconds(1), cancel_both);
  second = host.after(milliseconds(1), cancel_both);
  ::poll(nullptr, 0, 50);  // both are to be run in the same turn
  host.run();
  CHECK(ran == 1);
}

TEST_CASE("idle work has the lowest priority there is, and nobody else has") {
  struct Standing {
    int policy = 0;
    int nice = 0;
    long disk = 0;  // the class, 3 is idle
    static Standing of_this_thread() {
      constexpr int who_is_thread = 1;
      return {::sched_getscheduler(0), ::getpriority(PRIO_PROCESS, 0),
              ::syscall(SYS_ioprio_get, who_is_thread, 0) >> 13};
    }
    bool operator==(const Standing&) const = default;
  };
  const TemporaryDirectory directory;
  Log log({}, hearth::lsp::LogLevel::error, false);
  AnswerFiles answers(directory.path(), milliseconds(0));
  AsioHost host(log, answers);
  const Standing usual = Standing::of_this_thread();
  Standing idle;
  Standing background;
  bool first = true;  // of the two
  const auto done = [&] {
    if (!std::exchange(first, false)) host.stop();
  };
  host.when_idle([&] { idle = Standing::of_this_thread(); }, done);
  host.background([&] { background = Standing::of_this_thread(); }, done);
  host.run();
  CHECK((idle.policy == SCHED_IDLE || idle.nice == 19));
  CHECK(idle.disk == 3);
  CHECK(background == usual);
  CHECK(Standing::of_this_thread() == usual);
}
