// The daemon as a process: starting, stopping, who may talk to it, and what it survives.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/transport/listener.hpp"
#include "daemon/transport/socket.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;
using hearth::tests::mode_of;
using hearth::tests::unbroken;
namespace fs = std::filesystem;

namespace {

// Whatever the other side says until it closes the connection.
std::string read_to_end(int fd) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(got));
  }
}

std::string say_to_daemon(const Home& home, std::string_view bytes) {
  auto socket = connect_socket(home.paths().socket(), ScriptedEditor::timeout);
  REQUIRE(socket);
  // The daemon may close before it has taken everything.
  ::fcntl(socket->get(), F_SETFL, 0);  // blocking
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(socket->get(), SHUT_WR);
  return read_to_end(socket->get());
}

}  // namespace

TEST_CASE("two editors that start at the same time share one daemon") {
  const Home home;
  auto first = home.editor();
  auto second = home.editor();
  first.initialize(Json::object(), nullptr);
  second.initialize(Json::object(), nullptr);
  CHECK(home.status()["clients"].size() == 2);
  CHECK(second.quit() == 0);
  CHECK(first.quit() == 0);
}

TEST_CASE("nobody else can read or enter what the daemon makes") {
  const Home home;
  CHECK(home.hearth("daemon").code == 0);
  CHECK(mode_of(home.paths().runtime) == 0700);
  CHECK(mode_of(home.paths().socket()) == 0600);
  CHECK(mode_of(home.paths().lock()) == 0600);
  CHECK(mode_of(home.paths().state) == 0700);
  CHECK(mode_of(home.paths().log()) == 0600);
}

TEST_CASE("a socket that a dead daemon left behind is replaced") {
  const Home home;
  make_private_directory(home.paths().runtime);
  const sockaddr_un address = socket_address(home.paths().socket());
  {
    const Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.status()["clients"].empty());
}

TEST_CASE("a killed daemon makes room for the next") {
  const Home home;
  CHECK(home.hearth("daemon").code == 0);
  const pid_t first = home.daemon_pid();
  ::kill(first, SIGKILL);
  home.wait_until_gone();
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.daemon_pid() != first);
}

TEST_CASE("stop ends the daemon and says so") {
  const Home home;
  CHECK(home.hearth("stop").out == "no daemon was running\n");
  home.hearth("daemon");
  const Finished stopped = home.hearth("stop");
  CHECK(stopped.code == 0);
  CHECK(stopped.out == "the daemon has stopped\n");
  CHECK_FALSE(home.control());
  CHECK_FALSE(fs::exists(home.paths().socket()));
}

TEST_CASE("a daemon that does not answer is named, and ended by force alone") {
  const Home home;
  home.hearth("daemon");
  const pid_t daemon = home.daemon_pid();
  ::kill(daemon, SIGSTOP);
  for (const char* command : {"status", "jobs", "stop"}) {
    CAPTURE(command);
    const Finished finished = home.hearth(command);
    CHECK(finished.code == 1);
    CHECK(finished.out.empty());
    CHECK(finished.err.find("process " + std::to_string(daemon) + " is the daemon") !=
          std::string::npos);
    CHECK(finished.err.find("`hearth stop --force` ends it") != std::string::npos);
  }
  CHECK(::kill(daemon, 0) == 0);
  const Finished stopped = home.hearth("stop --force");
  CHECK(stopped.code == 0);
  CHECK(stopped.out == "the daemon did not stop by itself and was ended\n");
  CHECK(home.hearth("stop --force").out == "no daemon was running\n");
}

TEST_CASE("a daemon that accepts nobody is named, too") {
  const Home home;
  make_private_directory(home.paths().runtime);
  const auto lock = DaemonLock::take(home.paths().lock());
  REQUIRE(lock);
  const sockaddr_un address = socket_address(home.paths().socket());
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), name, sizeof address) == 0);
  REQUIRE(::listen(listener.get(), 0) == 0);
  std::vector<Fd> waiting;  // as many as may
  do {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  } while (::connect(waiting.back().get(), name, sizeof address) == 0);
  for (const char* command : {"status", "stop"}) {
    CAPTURE(command);
    const Finished finished = home.hearth(command);
    CHECK(finished.code == 1);
    CHECK(finished.err.find("process " + std::to_string(::getpid()) + " is the daemon") !=
          std::string::npos);
  }
}

TEST_CASE("SIGTERM ends the daemon in order") {
  const Home home;
  home.hearth("daemon");
  ::kill(home.daemon_pid(), SIGTERM);
  home.wait_until_gone();
  CHECK_FALSE(fs::exists(home.paths().socket()));
  CHECK(read_file(home.paths().log(), 1 << 20).find("stopped") != std::string::npos);
}

TEST_CASE("a second daemon in the foreground is refused") {
  const Home home;
  home.hearth("daemon");
  const Finished second = home.hearth("daemon --foreground");
  CHECK(second.code == 1);
  CHECK(second.err == "hearth: a daemon is running already (process " +
                          std::to_string(home.daemon_pid()) + "): `hearth stop` ends it\n");
}

TEST_CASE("a daemon that nobody needs ends by itself") {
  Home home;
  home.configure("[daemon]\nidle_exit = \"300ms\"\n");
  home.hearth("daemon");
  home.wait_until_gone();
  CHECK_FALSE(fs::exists(home.paths().socket()));
}

TEST_CASE("garbage on the socket closes its connection and nothing else") {
  const Home home;
  home.hearth("daemon");
  CHECK(say_to_daemon(home, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").empty());
  CHECK(say_to_daemon(home, std::string(200'000, 'x')).empty());
  CHECK(say_to_daemon(home, "Content-Length: 99999999999\r\n\r\n").empty());
  CHECK(say_to_daemon(home, "Content-Length: 100000\r\n\r\n" + std::string(100'000, ' ')).empty());
  CHECK(say_to_daemon(home, hearth::lsp::frame("{\"no\": \"hello\"}"))
            .find("the first message is no hello") != std::string::npos);
  CHECK(say_to_daemon(home, "").empty());
  CHECK(home.status()["clients"].empty());
}

TEST_CASE("a client of another protocol is told what to do") {
  const Home home;
  home.hearth("daemon");
  const std::string answer = say_to_daemon(home, hearth::lsp::frame(R"({"protocol": 99})"));
  CHECK(answer.find("speaks protocol 2, not 99") != std::string::npos);
  CHECK(answer.find("hearth stop") != std::string::npos);
}

TEST_CASE("an unknown or malformed control request is answered with an error") {
  const Home home;
  home.hearth("daemon");
  auto control = home.control();
  REQUIRE(control);
  CHECK_THROWS_WITH(ask(*control, "dance"), "unknown request: dance");
  for (const char* body : {"[]", "{}", R"({"request": 4})"}) {
    control->stream.send(body);
    const auto answer = control->stream.receive(ScriptedEditor::timeout);
    REQUIRE(answer);
    CHECK(answer->find("a request looks like") != std::string::npos);
  }
  control->stream.send("nonsense");
  const auto answer = control->stream.receive(ScriptedEditor::timeout);
  REQUIRE(answer);
  CHECK(Json::parse(*answer).contains("error"));
  CHECK(ask(*control, "jobs") == Json::array());
}

// Megabytes of answers, which a sanitized daemon takes minutes to write.
TEST_CASE("a client that does not read is disconnected, and others do not notice" *
          doctest::skip(HEARTH_SANITIZED != 0)) {
  const Home home;
  home.hearth("daemon");
  auto greedy = home.control();
  REQUIRE(greedy);
  const std::string question = hearth::lsp::frame(R"({"request": "status"})");
  std::string many;
  while (many.size() < 256 * 1024) many += question;
  const int fd = greedy->stream.out();
  ::fcntl(fd, F_SETFL, 0);  // blocking
  bool connected = true;
  // Each question of some 50 bytes is answered by far more than a kilobyte.
  for (std::size_t sent = 0; connected && sent < SocketServer::max_unsent_bytes;
       sent += many.size()) {
    std::string_view left = many;
    while (!left.empty() && connected) {
      const ssize_t written = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
      connected = written > 0;
      if (connected) left.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  CHECK_FALSE(connected);
  CHECK(home.status()["clients"].empty());
  CHECK(read_file(home.paths().log(), 1 << 20).find("it does not read") != std::string::npos);
}

TEST_CASE("what a client sends behind `exit` is not read") {
  const Home home;
  home.hearth("daemon");
  auto editor = connect(home.paths(), ConnectionKind::lsp);
  REQUIRE(editor);
  const auto say = [&](const Json& message) { editor->stream.send(message.dump()); };
  // Answers that the client never reads keep the connection from closing at once.
  say({{"jsonrpc", "2.0"},
       {"id", 1},
       {"method", "initialize"},
       {"params", {{"capabilities", Json::object()}}}});
  const std::string long_name(1'000'000, 'm');  // more would be refused as too large
  for (int id = 2; id < 6; ++id)
    say({{"jsonrpc", "2.0"}, {"id", id}, {"method", long_name}, {"params", Json::object()}});
  say({{"jsonrpc", "2.0"}, {"id", 6}, {"method", "shutdown"}});
  say({{"jsonrpc", "2.0"}, {"method", "exit"}});

  constexpr std::size_t more = 64 << 20;
  constexpr std::size_t kept_by_the_system = 8 << 20;
  const int fd = editor->stream.out();
  ::fcntl(fd, F_SETFL, 0);  // blocking
  std::size_t taken = 0;
  while (editor->stream.unsent() > 0 && editor->stream.flush()) ::poll(nullptr, 0, 1);
  while (taken < more) {
    const ssize_t sent = ::send(fd, long_name.data(), long_name.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;  // the daemon has closed
    taken += static_cast<std::size_t>(sent);
  }
  CHECK(taken < kept_by_the_system);
  while (!home.status()["clients"].empty()) ::poll(nullptr, 0, 10);
  const std::string log = read_file(home.paths().log(), 1 << 20);
  CAPTURE(log);
  CHECK(log.find("does not read its last messages") != std::string::npos);
}

TEST_CASE("with a full disk for its log the daemon serves") {
  const Home home;
  // Every write to a file fails, to a socket none.
  Child child({"/bin/sh", "-c",
               "ulimit -f 0; trap '' XFSZ; XDG_RUNTIME_DIR='" +
                   home.paths().runtime.parent_path().string() + "' XDG_STATE_HOME='" +
                   home.paths().state.parent_path().string() + "' exec " +
                   hearth::tests::program() + " daemon --foreground"},
              {}, true);
  while (!home.control()) ::poll(nullptr, 0, 10);
  CHECK(home.status()["model"]["state"] != "failed");
  auto editor = home.editor();
  CHECK(editor.initialize(Json::object(), nullptr).contains("capabilities"));
  CHECK(editor.quit() == 0);
  CHECK(stop_daemon(home.paths()) == Stopped::itself);
  CHECK(child.wait() == 0);
}

namespace {

// `hearth daemon` with so many open files at most, set by `ulimit LIMIT` (both limits where it
// names neither -S nor -H); its complaint.
std::string start_with_few_files(const Home& home, const std::string& limit) {
  const auto complaint = home.paths().state.parent_path() / "complaint";
  Child child({"/bin/sh", "-c",
               "ulimit " + limit + "; XDG_RUNTIME_DIR='" +
                   home.paths().runtime.parent_path().string() + "' XDG_STATE_HOME='" +
                   home.paths().state.parent_path().string() + "' XDG_CONFIG_HOME='" +
                   home.paths().config.parent_path().parent_path().string() + "' HEARTH_MODEL='' " +
                   hearth::tests::program() + " daemon 2> '" + complaint.string() + "'"},
              {});
  child.wait();
  return read_file(complaint, 1 << 20);
}

// How often the process's first thread, which serves its clients, has waited for something.
std::uint64_t waits_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    std::uint64_t count = 0;
    if (word == "voluntary_ctxt_switches:" && status >> count) return count;
  }
  FAIL("process " << pid << " tells no number of context switches");
  return 0;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE(
    "where too few files may be open, the daemon does not start, and says how many it needs") {
  const Home home;
  const std::string complaint = start_with_few_files(home, "-n 16");
  CHECK(complaint.starts_with("hearth: only 16 files may be open at a time, and hearth needs 68 "));
  CHECK(complaint.find("ulimit -n") != std::string::npos);
  CHECK_FALSE(home.control());
}

TEST_CASE("a limit of open files that may be raised is raised, and many are served") {
  const Home home;
  CHECK(start_with_few_files(home, "-S -n 16").empty());
  std::vector<Connected> all;
  for (int i = 0; i < 40; ++i) {
    auto one = home.control();
    REQUIRE(one);
    all.push_back(std::move(*one));
  }
  CHECK(ask(all.back(), "status")["pid"] == home.daemon_pid());
}

TEST_CASE("a daemon without a descriptor left tells each client so, and waits for the next event") {
  const Home home;
  REQUIRE(start_with_few_files(home, "-n 72").empty());
  const pid_t daemon = home.daemon_pid();
  std::vector<Connected> all;
  const auto refusal = [&] {
    try {
      auto one = home.control();
      REQUIRE(one);
      all.push_back(std::move(*one));
    } catch (const Error& refused) {
      return std::string(refused.what());
    }
    return std::string();
  };
  std::string said;
  while (said.empty() && all.size() < 72) said = refusal();
  constexpr const char* full = "the daemon has as many files open as it may (72): close an editor";
  CHECK(said.starts_with(full));
  for (int i = 0; i < 4; ++i) CHECK(refusal().starts_with(full));

  const std::uint64_t before = waits_of(daemon);
  ::poll(nullptr, 0, 3'000);
  const std::uint64_t woken = waits_of(daemon) - before;
  MESSAGE("woken " << woken << " times in 3 s with " << all.size() << " connections");
  CHECK(woken < 10);
  CHECK(ask(all.front(), "status")["pid"] == daemon);
  const std::string log = read_file(home.paths().log(), 1 << 20);
  CAPTURE(log);
  CHECK(count_of(log, "cannot accept a connection") == 1);

  all.erase(all.begin(), all.begin() + 3);
  const std::size_t left = all.size();
  while (all.size() == left) refusal();
  CHECK(ask(all.back(), "status")["pid"] == daemon);
}

TEST_CASE("a state directory that cannot be had is logged elsewhere, not died of") {
  const Home home;
  write_file(home.paths().state, "a file where the directory should be");
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.status()["clients"].empty());
}

TEST_CASE("a pipe in the log's place is told in the status, and waited for by nobody") {
  const Home home;
  make_private_directory(home.paths().state);
  REQUIRE(::mkfifo(home.paths().log().c_str(), 0600) == 0);
  CHECK(home.hearth("daemon").code == 0);
  const std::string reason = home.paths().log().string() + " is a named pipe, not a regular file";
  const std::string status = unbroken(home.hearth("status").out);
  CHECK(status.find("log        none: " + reason) != std::string::npos);
  CHECK(fs::is_fifo(home.paths().log()));
}

TEST_CASE("a daemon whose idle time is the longest there is stays") {
  Home home;
  home.configure("[daemon]\nidle_exit = \"87600h\"\n");
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.status()["clients"].empty());
  CHECK(read_file(home.paths().log(), 1 << 20).find("stopping") == std::string::npos);
}

TEST_CASE("a pipe in the configuration's place is told, and waited for by nobody") {
  const Home home;
  REQUIRE(::mkfifo(home.paths().config.c_str(), 0600) == 0);
  const Finished finished = home.hearth("daemon");
  CHECK(finished.code == 1);
  CHECK(finished.err == "hearth: cannot read " + home.paths().config.string() +
                            ": it is a named pipe, not a regular file\n");
}

TEST_CASE("a runtime directory that is a link is refused") {
  const Home home;
  fs::create_directory_symlink(home.paths().state.parent_path(), home.paths().runtime);
  const Finished finished = home.hearth("daemon");
  CHECK(finished.code == 1);
  CHECK(finished.err ==
        "hearth: " + home.paths().runtime.string() + " is a link or no directory: remove it\n");
  fs::remove(home.paths().runtime);
}

TEST_CASE("a cancelled request stops computing") {
  const Home home;
  home.hearth("daemon");
  auto editor = connect(home.paths(), ConnectionKind::lsp);
  REQUIRE(editor);
  auto& stream = editor->stream;
  const auto response = [&](int id) {
    for (;;) {
      const auto body = stream.receive(ScriptedEditor::timeout);
      REQUIRE(body);
      Json message = Json::parse(*body);
      if (message.value("id", 0) == id && !message.contains("method")) return message;
    }
  };
  const auto completion = [](int id, int line) {
    return Json{{"jsonrpc", "2.0"},
                {"id", id},
                {"method", "textDocument/inlineCompletion"},
                {"params",
                 {{"textDocument", {{"uri", "file:///a.py"}}},
                  {"position", {{"line", line}, {"character", 4}}},
                  {"context", {{"triggerKind", 1}}}}}}
        .dump();
  };
  stream.send(R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}})");
  stream.send(R"({"jsonrpc":"2.0","method":"initialized","params":{}})");
  stream.send(
      R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":)"
      R"("file:///a.py","languageId":"python","version":1,"text":"def f(a):\n    \n    \n"}}})");
  stream.send(completion(2, 1));
  CHECK(response(2).contains("result"));  // the model is loaded

  const pid_t daemon = home.daemon_pid();
  ::kill(daemon, SIGSTOP);  // so that the cancellation is there before the answer
  stream.send(completion(3, 2));
  stream.send(R"({"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":3}})");
  ::kill(daemon, SIGCONT);
  CHECK(response(3)["error"]["code"] == -32800);

  auto control = home.control();
  REQUIRE(control);
  Json model;
  do {
    model = ask(*control, "status")["model"];
  } while (model["waiting"] != 0);
  const Json later = ask(*control, "status")["model"];
  CHECK(later["steps"] == model["steps"]);
  CHECK(later["tokensComputed"] == model["tokensComputed"]);
}
