// The daemon as a process: starting, stopping, who may talk to it, and what it survives.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "daemon/server.hpp"
#include "daemon/socket.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;
namespace fs = std::filesystem;

namespace {

unsigned mode_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

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
  auto socket = connect_socket(home.paths().socket());
  REQUIRE(socket);
  // The daemon may close before it has taken everything.
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
  CHECK(answer.find("speaks protocol 1, not 99") != std::string::npos);
  CHECK(answer.find("hearth stop") != std::string::npos);
}

TEST_CASE("an unknown or malformed control request is answered with an error") {
  const Home home;
  home.hearth("daemon");
  auto control = home.control();
  REQUIRE(control);
  CHECK_THROWS_WITH(ask(*control, "dance"), "unknown request: dance");
  for (const char* body : {"[]", "{}", "nonsense", R"({"request": 4})"}) {
    control->stream.send(body);
    const auto answer = control->stream.receive(ScriptedEditor::patience);
    REQUIRE(answer);
    CHECK(answer->find("a request looks like") != std::string::npos);
  }
  CHECK(ask(*control, "jobs") == Json::array());
}

TEST_CASE("a client that does not read is disconnected, and others do not notice") {
  const Home home;
  home.hearth("daemon");
  auto greedy = home.control();
  REQUIRE(greedy);
  const std::string question = hearth::lsp::frame(R"({"request": "status"})");
  std::string many;
  while (many.size() < 256 * 1024) many += question;
  const int fd = greedy->stream.out();
  bool connected = true;
  // Each question of some 50 bytes is answered by far more than a kilobyte.
  for (std::size_t sent = 0; connected && sent < SocketServer::most_unsent_bytes;
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
  CHECK(stop_daemon(home.paths()));
  CHECK(child.wait() == 0);
}

TEST_CASE("a state directory that cannot be had is logged elsewhere, not died of") {
  const Home home;
  write_file(home.paths().state, "a file where the directory should be");
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.status()["clients"].empty());
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
      const auto body = stream.receive(ScriptedEditor::patience);
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
