// Jobs of a daemon whose disk is full, and what is left of them when it is killed later.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/kills/editor.hpp"
#include "tests/daemon/kills/moments.hpp"

using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds max_wait{60};

// No file of a running process grows beyond `bytes`.
void limit_files(pid_t process, rlim_t bytes) {
  rlimit limit{};
  REQUIRE(::prlimit(process, RLIMIT_FSIZE, nullptr, &limit) == 0);
  limit.rlim_cur = bytes;
  REQUIRE(::prlimit(process, RLIMIT_FSIZE, &limit, nullptr) == 0);
}

bool has_logged(const Home& home, const std::string& words) {
  return contains(hearth::daemon::read_file(home.paths().log(), 1 << 20), words);
}

}  // namespace

TEST_CASE("on a full disk jobs go on, no edit is sent, and both are there when there is room") {
  ::signal(SIGPIPE, SIG_IGN);
  const Home home;
  const std::string folder = KilledEditor::folder;
  const std::string explained = folder + "/explained.py";
  const std::string documented = folder + "/documented.py";
  KilledEditor editor(home);
  editor.open(explained, average);
  editor.open(documented, average);
  const auto is = [&](std::uint64_t job, const char* state) {
    return [&editor, job, state] { return editor.shown(job)->state == state; };
  };
  while (home.status()["model"]["state"] == "loading") ::poll(nullptr, 0, 20);
  const auto first = editor.choose("explain", explained, Json::object());
  REQUIRE(editor.until(is(first, "done"), max_wait));

  const pid_t daemon = daemon_of(home);
  REQUIRE(daemon > 0);
  // Less than a page of the journal, and room for the log, which says what is wrong.
  constexpr rlim_t page = 4096;
  REQUIRE(fs::file_size(home.paths().log()) < page / 2);
  limit_files(daemon, page - 1);
  const auto answer = editor.choose("explain", explained, Json::object());
  const auto edit = editor.choose("document", documented, Json::object());
  CHECK(editor.until(is(answer, "done"), max_wait));
  CHECK(contains(editor.shown(answer)->text, "Computes the average"));
  CHECK(editor.until(is(edit, "waiting"), max_wait));
  // That it waits may be told a moment before what waits.
  CHECK(editor.until(
      [&] { return contains(editor.shown(edit)->text, "could not be written down"); }, max_wait));
  CHECK(editor.documents().at(documented).edits == 0);
  CHECK(has_logged(home, "what jobs do is kept in memory until it can be written"));
  // Said where a person looks: the status, the examination, and every editor's hearth/status.
  const std::string lost = "jobs go on but are lost with the daemon";
  const std::string journal = home.paths().jobs().string();
  const std::string notice = home.status()["jobsNotice"];
  CHECK(contains(notice, "cannot use " + journal));
  CHECK(contains(notice, "room on that disk"));
  CHECK(contains(notice, lost));
  CHECK(contains(unbroken(home.hearth("status").out), lost));
  CHECK(contains(home.hearth("doctor").out, "warning daemon      cannot use " + journal));
  auto other = home.editor();
  Json pushed;
  other.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/status") pushed = params.value("notices", Json::array());
  };
  other.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"status"}}}}});
  other.until([&] { return !pushed.is_null(); });
  CHECK(pushed == Json{notice});

  limit_files(daemon, RLIM_INFINITY);
  REQUIRE(editor.until([&] { return has_logged(home, "is written again"); }, max_wait));
  other.until([&] { return pushed.empty(); });
  CHECK(home.status()["jobsNotice"] == "");
  CHECK_FALSE(contains(unbroken(home.hearth("status").out), lost));
  CHECK(other.quit() == 0);
  REQUIRE(kill_daemon(home));
  Watcher watcher(home);
  const auto known = [&](std::uint64_t job) { return watcher.job(job).has_value(); };
  REQUIRE(editor.until([&] { return known(answer) && known(edit); }, max_wait));
  CHECK((*watcher.job(answer))["state"] == "done");
  CHECK((*watcher.job(answer))["text"] == editor.shown(answer)->text);
  CHECK((*watcher.job(edit))["state"] == "waiting");
  // The next session has taken it a second after it began.
  const auto applied = [&] {
    editor.apply(edit);
    return editor.until([&] { return editor.documents().at(documented).edits > 0; },
                        std::chrono::seconds(2));
  };
  bool made = applied();
  for (int tries = 0; !made && tries < 10; ++tries) made = applied();
  CHECK(editor.until(is(edit, "done"), max_wait));
  CHECK(editor.documents().at(documented).edits == 1);
  CHECK(contains(editor.documents().at(documented).text, "Return the average of the values."));
}
