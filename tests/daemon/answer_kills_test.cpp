// kill -9 inside answers that take seconds, of a model that computes as long as a real one: how
// much of an answer the next daemon computes again.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <fmt/format.h>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/daemon/editing.hpp"
#include "tests/daemon/kills/editor.hpp"
#include "tests/daemon/kills/moments.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::tests;

namespace {

constexpr std::chrono::minutes max_wait{5};
constexpr std::int64_t most = 1'500;   // tokens of an answer
constexpr std::int64_t usual = 1'000;  // random weights rarely stop before

struct Killed {
  std::int64_t before = 0;  // tokens of the answer when the daemon was killed
  std::int64_t again = 0;   // of them, computed by the next one too: replayed or written anew
  double speed = 0;         // tokens a second, as the killed daemon had measured
  double seconds() const { return static_cast<double>(again) / speed; }
};

template <typename Value>
std::string range(std::vector<Value> values) {
  std::ranges::sort(values);
  return fmt::format("{:.3g} (median {:.3g})", static_cast<double>(values.back()),
                     static_cast<double>(values[values.size() / 2]));
}

}  // namespace

// By hand and in the long run: it takes minutes, and how far a write is behind is the machine's.
TEST_CASE("an answer of seconds whose daemon is killed goes on from inside it") {
  if (std::getenv("HEARTH_LONG") == nullptr && std::getenv("HEARTH_SEED") == nullptr) {
    MESSAGE("skipped: HEARTH_LONG is not set, nor HEARTH_SEED for a short series");
    return;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const std::size_t kills = std::getenv("HEARTH_LONG") != nullptr ? 20 : 4;
  const char* const chosen = std::getenv("HEARTH_SEED");
  std::mt19937 random(chosen != nullptr ? static_cast<unsigned>(std::atoi(chosen)) : 7);

  Home home;
  const TemporaryDirectory directory;
  const std::string model = (directory.path() / "model").string();
  REQUIRE(
      home.hearth("dummy --hidden 512 --layers 8 --tokenizer ember --out '" + model + "'").code ==
      0);
  home.configure(fmt::format("[model]\npath = \"{}\"\n[answer]\nmax_tokens = {}\n", model, most));
  KilledEditor editor(home);
  Watcher watcher(home);
  std::vector<Killed> all;
  std::size_t jobs = 0;
  while (all.size() < kills) {
    REQUIRE(jobs < 3 * kills);
    const std::string uri = fmt::format("{}/stats{}.py", KilledEditor::folder, ++jobs);
    editor.open(uri, average);
    const std::uint64_t job = editor.choose("explain", uri, Json::object());
    Killed killed;
    const std::int64_t wanted = 200 + static_cast<std::int64_t>(random() % (usual - 200));
    bool over = false;  // before it could be killed
    const auto has_written = [&] {
      const auto told = watcher.job(job);
      killed.before = told ? (*told)["answerTokens"].get<std::int64_t>() : 0;
      over = told && (*told)["state"] == "done";
      return over || killed.before >= wanted;
    };
    REQUIRE(editor.until(has_written, max_wait));
    if (over) continue;
    killed.speed = home.status()["model"]["decodeTokensPerSecond"];
    has_written();
    if (over) continue;
    REQUIRE(kill_daemon(home));
    REQUIRE(editor.until([&] { return editor.shown(job)->state == "done"; }, max_wait));
    std::optional<Json> told;  // by the next daemon, to which it has to connect
    REQUIRE(editor.until([&] { return (told = watcher.job(job)).has_value(); }, max_wait));
    const auto answer = (*told)["answerTokens"].get<std::int64_t>();
    CHECK(answer >= killed.before);
    const Json counts = home.status()["model"];
    const std::int64_t known = answer - counts["answerTokens"].get<std::int64_t>();
    const auto replayed = counts["replayedTokens"].get<std::int64_t>();
    CAPTURE(killed.before);
    CAPTURE(known);
    CAPTURE(replayed);
    CHECK(known <= killed.before + static_cast<std::int64_t>(killed.speed));
    CHECK(replayed < known);  // a checkpoint inside the answer was there
    killed.again = std::max<std::int64_t>(killed.before - known, 0) + replayed;
    all.push_back(killed);
  }
  std::vector<std::int64_t> tokens;
  std::vector<double> seconds;
  for (const Killed& each : all) {
    tokens.push_back(each.again);
    seconds.push_back(each.seconds());
  }
  MESSAGE(kills << " kills inside answers of up to " << most << " tokens at "
                << fmt::format("{:.0f}", all.back().speed) << " tokens/s; computed again, at most: "
                << range(tokens) << " tokens, " << range(seconds) << " s");
}
