// Exceptions out of messages, and allocations that fail anywhere in a session: the daemon answers
// or closes the connection and goes on, or it ends and the next one answers. It never hangs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "daemon/platform/lock.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/program_starving/control.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

const std::string initialize =
    R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}})";
const std::string initialized = R"({"jsonrpc":"2.0","method":"initialized","params":{}})";
const std::string open_document =
    R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":)"
    R"("file:///a.py","languageId":"python","version":1,"text":"def f(a):\n    \n    \n"}}})";

std::string request(int id, const std::string& method, const std::string& params) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + method +
         R"(","params":)" + params + "}";
}

const std::string selection =
    R"("uri":"file:///a.py","range":{"start":{"line":0,"character":0},"end":{"line":1,"character":0}})";

// Empty where the connection closed. Saying nothing is a hang.
std::optional<Json> receive(MessageStream& stream) {
  if (const auto body = stream.receive(ScriptedEditor::timeout)) return Json::parse(*body);
  pollfd poller{stream.in(), POLLIN, 0};
  REQUIRE(::poll(&poller, 1, 0) == 1);
  return std::nullopt;
}

std::optional<Json> response(MessageStream& stream, const Json& id) {
  while (auto message = receive(stream)) {
    if (message->contains("method")) continue;
    // A request that could not be read has no id to be answered by.
    if ((*message)["id"] == id || (*message)["id"].is_null()) return message;
  }
  return std::nullopt;
}

const std::string complete =
    request(5, "textDocument/inlineCompletion",
            R"({"textDocument":{"uri":"file:///a.py"},"position":{"line":1,"character":4},)"
            R"("context":{"triggerKind":1}})");

void end_session(MessageStream& stream) {
  stream.send(request(9, "shutdown", "null"));
  if (response(stream, 9)) stream.send(R"({"jsonrpc":"2.0","method":"exit"})");
}

// Each kind of session, until it is done or its connection closes.
void edit_and_complete(MessageStream& stream) {
  for (const auto& body : {initialize, initialized, open_document}) stream.send(body);
  stream.send(
      R"({"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":)"
      R"("file:///a.py","version":2},"contentChanges":[{"range":{"start":{"line":1,"character":4},)"
      R"("end":{"line":1,"character":4}},"text":"return "}]}})");
  stream.send(complete);
  if (response(stream, 5)) end_session(stream);
}

void explain(MessageStream& stream) {
  for (const auto& body : {initialize, initialized, open_document}) stream.send(body);
  stream.send(
      request(2, "textDocument/codeAction",
              R"({"textDocument":{"uri":"file:///a.py"},"range":{"start":{"line":0,)"
              R"("character":0},"end":{"line":1,"character":0}},"context":{"diagnostics":[]}})"));
  if (!response(stream, 2)) return;
  stream.send(request(3, "workspace/executeCommand",
                      R"({"command":"hearth.server.explain","arguments":[{)" + selection + "}]}"));
  if (!response(stream, 3)) return;
  // The model is asked for this when the explanation is done.
  stream.send(complete);
  if (response(stream, 5)) end_session(stream);
}

void ask_status(MessageStream& stream) {
  for (const char* question : {"status", "jobs", "dance"}) {
    stream.send(Json{{"request", question}}.dump());
    if (!receive(stream)) return;
  }
}

// A home whose daemon starves when it is told to.
class StarvingHome {
 public:
  StarvingHome() : file_(home_.paths().state.parent_path() / "starve") {
    write_file(file_, std::string(sizeof(Starving), '\0'));
    const Fd fd(::open(file_.c_str(), O_RDWR | O_CLOEXEC));
    void* mapped =
        ::mmap(nullptr, sizeof(Starving), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    starving_ = static_cast<Starving*>(mapped);
    home_.configure("[answer]\nmax_tokens = 4\n[inline]\nmax_tokens = 4\n");
  }
  ~StarvingHome() {
    stop_starving();
    ::munmap(starving_, sizeof(Starving));
  }

  const Home& home() const { return home_; }
  void start() {
    const Finished started = home_.hearth_of(HEARTH_BINARY_DIR "/hearth-starving", "daemon",
                                             {{"HEARTH_STARVE", file_.string()}});
    CAPTURE(started.err);
    REQUIRE(started.code == 0);
  }
  void starve(long from, long until) {
    stop_starving();
    starving_->until = until;
    starving_->failed = 0;
    starving_->counted = 0;
    starving_->from = from;
  }
  void stop_starving() { starving_->from = 0; }
  long counted() const { return starving_->counted; }
  long failed() const { return starving_->failed; }

 private:
  Home home_;
  fs::path file_;
  Starving* starving_ = nullptr;
};

// The daemon answers, and nothing of the session before is left in it. It may have ended in order;
// then the next one does. True: it is still the same.
bool answers(StarvingHome& starving, pid_t before) {
  for (;;) {
    auto control = starving.home().control();
    if (!control) {
      starving.home().wait_until_gone();
      starving.start();
      continue;
    }
    try {
      for (int polls = 0;; ++polls, ::poll(nullptr, 0, 5)) {
        const Json status = ask(*control, "status");
        constexpr int most_polls = 12'000;  // a minute
        if (polls == most_polls) FAIL("the daemon does not come to rest: " << status.dump(1));
        bool busy = !status["clients"].empty() || status["model"]["waiting"] != 0;
        for (const Json& job : status["jobs"]) {
          const std::string state = job["state"];
          busy = busy || (state != "done" && state != "failed" && state != "cancelled" &&
                          !job.contains("waitsForEditor"));
        }
        if (!busy) return status["pid"] == before;
      }
    } catch (const Error&) {
      // It is about to end: the next one, then.
    }
  }
}

}  // namespace

TEST_CASE("a number that is too large is answered, in every kind of message") {
  const Home home;
  home.hearth("daemon");
  auto connected = connect(home.paths(), ConnectionKind::lsp);
  REQUIRE(connected);
  MessageStream& stream = connected->stream;
  const auto refused = [&](const std::string& body) {
    stream.send(body);
    const auto message = response(stream, nullptr);
    REQUIRE(message);
    CHECK((*message)["error"]["code"] == -32700);
  };
  refused(R"({"x":1e400})");
  stream.send(initialize);
  REQUIRE(response(stream, 1));
  stream.send(initialized);
  refused(R"({"jsonrpc":"2.0","id":1e400,"method":"shutdown"})");
  refused(R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"x":[-1e999]}})");
  refused(R"({"jsonrpc":"2.0","id":1,"result":1e400})");
  stream.send(request(2, "shutdown", "null"));
  REQUIRE(response(stream, 2));
  CHECK(home.status()["clients"].size() == 1);
  auto control = home.control();
  REQUIRE(control);
  control->stream.send(R"({"request":1e400})");
  CHECK(control->stream.receive(ScriptedEditor::timeout));
  CHECK(ask(*control, "jobs") == Json::array());
}

TEST_CASE("an allocation that fails costs a session at most, wherever it is") {
  struct Kind {
    const char* name;
    ConnectionKind connection;
    void (*session)(MessageStream&);
  };
  constexpr Kind kinds[] = {{"completing", ConnectionKind::lsp, edit_and_complete},
                            {"explaining", ConnectionKind::lsp, explain},
                            {"asking", ConnectionKind::control, ask_status}};
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  const long sessions = is_long ? 2'000 : HEARTH_SANITIZED ? 12 : 60;
  for (const Kind& kind : kinds) {
    CAPTURE(std::string(kind.name));
    StarvingHome starving;
    starving.start();
    const auto run = [&] {
      auto connected = [&]() -> std::optional<Connected> {
        try {
          return connect(starving.home().paths(), kind.connection);
        } catch (const Error&) {  // its connection closed in the middle of the hello
          return std::nullopt;
        }
      }();
      if (connected) kind.session(connected->stream);
    };
    // With the model loaded and warm, and what is only made once.
    const auto settle = [&] {
      for (int i = 0; i < 3; ++i) {
        run();
        answers(starving, 0);
      }
    };
    settle();
    starving.starve(0, 0);
    run();
    const long all = starving.counted();
    REQUIRE(answers(starving, starving.home().daemon_pid()));
    REQUIRE(all > 100);

    // The first ones each, then some on the way to the last; one alone, and some in a row.
    std::set<long> chosen;
    for (long i = 1; i <= sessions / 3; ++i) chosen.insert(i * 7);
    for (long i = 1; i <= sessions; ++i) chosen.insert(std::max(1L, all * i / sessions));
    int survived = 0;
    int hit = 0;
    for (const long n : chosen) {
      CAPTURE(n);
      const pid_t before = starving.home().daemon_pid();
      starving.starve(n, n % 3 == 0 ? n + 20 : n);
      run();
      starving.stop_starving();
      const bool failed = starving.failed() > 0;
      const bool same = answers(starving, before);
      hit += failed;
      survived += failed && same;
      if (!same) settle();
    }
    MESSAGE(std::string(kind.name)
            << ": " << all << " allocations, " << hit << " of " << chosen.size()
            << " sessions met a failing one, the daemon lived on in " << survived);
    CHECK(hit > static_cast<int>(chosen.size()) / 2);
    CHECK(survived > hit / (HEARTH_SANITIZED ? 8 : 2));  // of 16 sessions any number may be unlucky
    // JSON values allocate in their destructors, whose failure is an abort.
    const std::string log = read_file(starving.home().paths().log(), 64 << 20);
    for (const char* fault : {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"})
      CHECK(log.find(fault) == std::string::npos);
  }
}
