// What large messages cost the daemon: their memory while they are there, none when they are gone.
#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "daemon/platform/files.hpp"
#include "daemon/transport/control_client.hpp"
#include "lsp/protocol/wire.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

constexpr std::size_t mega = 1'000'000;

// "VmRSS" or "VmHWM" of a process, in bytes.
std::size_t memory(pid_t pid, const std::string& what) {
  const std::string status =
      read_file("/proc/" + std::to_string(pid) + "/status", std::size_t{1} << 20);
  const std::size_t at = status.find(what + ":");
  REQUIRE(at != std::string::npos);
  return std::strtoull(status.c_str() + at + what.size() + 1, nullptr, 10) * 1024;
}

// From now on the peak is that of what follows.
void forget_peak(pid_t pid) {
  std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << 5;
}

// A daemon whose model is loaded, its experts too.
pid_t started(const Home& home) {
  home.editor().initialize(Json::object(), nullptr);
  const auto loaded = [&] {
    const Json model = home.status()["model"];
    return model["state"] == "ready" && model["experts"]["warming"] == false;
  };
  while (!loaded()) ::poll(nullptr, 0, 50);
  return home.daemon_pid();
}

void wait_until_memory_is(pid_t pid, std::size_t max) {
  for (int tries = 0; tries < 600 && memory(pid, "VmRSS") > max; ++tries) ::poll(nullptr, 0, 100);
  CHECK(memory(pid, "VmRSS") <= max);
}

}  // namespace

TEST_CASE("a document of 60 MB costs at most five times its size, and nothing once it is gone" *
          doctest::skip(HEARTH_SANITIZED != 0)) {
  const Home home;
  const auto other_editor = home.editor();  // so that the daemon stays
  const pid_t pid = started(home);
  std::string text;
  while (text.size() < 60 * mega) text += "    value = value + 1  # and so on\n";

  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  forget_peak(pid);
  const std::size_t before = memory(pid, "VmRSS");
  editor.open("file:///large.txt", "plaintext", text);
  CHECK_FALSE(actions(editor, "file:///large.txt", 1).empty());
  const std::size_t opened = memory(pid, "VmHWM") - before;
  MESSAGE("opening 60 MB: " << opened / mega << " MB at most");
  CHECK(opened <= 5 * text.size());
  editor.quit();
  wait_until_memory_is(pid, before + 32 * mega);
}

TEST_CASE("a large message that brings no document is refused after its first part" *
          doctest::skip(HEARTH_SANITIZED != 0)) {
  const Home home;
  const auto other_editor = home.editor();
  const pid_t pid = started(home);
  const std::size_t before = memory(pid, "VmRSS");
  constexpr std::size_t length = 60 * mega;
  std::string message = "Content-Length: " + std::to_string(length) + "\r\n\r\n";
  const std::size_t header = message.size();
  message += R"({"jsonrpc":"2.0","id":7,"method":"textDocument/hover","params":")";

  SUBCASE("by the daemon, before the rest has come") {
    auto connected = connect(home.paths(), ConnectionKind::lsp);
    REQUIRE(connected);
    const auto write_all = [&](std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t sent = ::write(connected->stream.out(), bytes.data(), bytes.size());
        if (sent < 0 && errno == EAGAIN) {
          pollfd poller{connected->stream.out(), POLLOUT, 0};
          ::poll(&poller, 1, 1000);
          continue;
        }
        REQUIRE(sent > 0);
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      }
    };
    message.resize(header + mega + mega / 10, 'x');
    write_all(message);
    const Json refused = Json::parse(connected->stream.receive(std::chrono::minutes(2)).value());
    CHECK(refused["id"] == 7);
    CHECK(refused["error"]["code"] == -32600);
    forget_peak(pid);
    std::string rest(length - (message.size() - header), 'x');
    write_all(rest);
    connected->stream.send(
        R"({"jsonrpc":"2.0","id":8,"method":"initialize","params":{"capabilities":{}}})");
    const Json next = Json::parse(connected->stream.receive(std::chrono::minutes(2)).value());
    CHECK(next["id"] == 8);
    CHECK(next.contains("result"));
    CHECK(memory(pid, "VmHWM") <= before + 16 * mega);
  }
  SUBCASE("by the stdio proxy, whose session goes on") {
    message.resize(header + length - 2, 'x');
    message += "\"}";
    const Finished session =
        home.hearth("lsp", message + hearth::lsp::frame(R"({"jsonrpc":"2.0","method":"exit"})"));
    CHECK(session.out.find("\"id\":7,") != std::string::npos);
    CHECK(session.out.find("bytes is refused") != std::string::npos);
    CHECK(session.code == 1);  // for want of a shutdown
    CHECK(session.err.empty());
  }
}
