// The Host of the daemon: what it promises about its timers.
#include "daemon/platform/asio_host.hpp"

#include <doctest/doctest.h>
#include <poll.h>

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
