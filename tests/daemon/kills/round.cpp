// Waiting for moments, killing, and what is counted afterwards.
#include "tests/daemon/kills/round.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "daemon/platform/files.hpp"

namespace hearth::tests {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// For what must happen; the test has failed where it takes longer.
constexpr seconds max_wait{60};

bool has_ended(const std::string& state) {
  return state == "done" || state == "failed" || state == "cancelled";
}

}  // namespace

std::vector<Outcome> outcomes_in_peace(const Home& home, const std::vector<Task>& tasks) {
  KilledEditor editor(home);
  for (const Task& task : tasks) editor.open(task.uri, task.text);
  for (const Task& task : tasks) editor.choose(task.action, task.uri, task.more);
  const bool ended = editor.until(
      [&] {
        return std::ranges::all_of(
            tasks, [&](const Task& task) { return has_ended(editor.shown(task.uri)->state); });
      },
      max_wait);
  REQUIRE(ended);
  std::vector<Outcome> outcomes;
  for (const Task& task : tasks) {
    CAPTURE(task.action);
    REQUIRE(editor.shown(task.uri)->state == "done");
    outcomes.push_back(
        {task.edits ? "" : editor.shown(task.uri)->text, editor.documents().at(task.uri).text});
  }
  return outcomes;
}

Round::Round(const Home& home, std::vector<Task> tasks, std::vector<Outcome> expected, bool holds,
             std::mt19937& random, Tallies& tallies)
    : home_(home),
      tasks_(std::move(tasks)),
      expected_(std::move(expected)),
      random_(random),
      tallies_(tallies),
      watcher_(home),
      editor_(home) {
  editor_.holds = holds;
  for (const Task& task : tasks_) editor_.open(task.uri, task.text);
  for (const Task& task : tasks_) jobs_.push_back(editor_.choose(task.action, task.uri, task.more));
}

std::uint64_t Round::chance(std::uint64_t below) {
  return random_() % below;
}

Round::State Round::look(std::uint64_t job) {
  const auto told = watcher_.job(job);
  if (!told) return {};
  return {told->value("state", ""), told->value("promptDone", 0.0),
          told->value("answerTokens", std::int64_t{0}),
          told->value("cachedTokens", std::int64_t{0})};
}

// Fails, with what there is to say, where it is too late.
void Round::go_on_before(std::chrono::steady_clock::time_point deadline) {
  if (Clock::now() < deadline) return;
  const std::uint64_t job = jobs_.back();
  const auto told = watcher_.job(job);
  const auto status = watcher_.status();
  const auto* shown = editor_.shown(job);
  FAIL("job " << job << " stands still since a kill at: "
              << moment_names[static_cast<std::size_t>(last_)] << "; process " << daemon_of(home_)
              << " says " << (told ? told->dump() : "nothing of it") << "; shown as "
              << (shown != nullptr ? shown->state : "nothing") << "\n"
              << (status ? status->dump() : "no status") << "\n"
              << daemon::read_file(home_.paths().log(), 1 << 20));
}

// Until the target is there, or has gone past it.
void Round::wait_for(Moment moment) {
  const auto deadline = Clock::now() + max_wait;
  const double part = static_cast<double>(chance(100)) / 100;
  for (;;) {
    go_on_before(deadline);
    editor_.until([] { return true; }, milliseconds(0));
    const auto told = watcher_.job(jobs_.back());
    if (!told) {
      ::poll(nullptr, 0, 1);
      continue;
    }
    const std::string state = (*told)["state"];
    if (state == "queued") {
      if (moment == Moment::queued) return;
    } else if (state == "prefilling") {
      const double whole = (*told)["promptTokens"].get<double>();
      if (moment == Moment::queued) return;
      if (moment == Moment::prefill && (*told)["promptDone"].get<double>() >= part * whole) return;
    } else if (state == "generating") {
      constexpr double usual = 300;
      if (moment != Moment::generation) return;
      if ((*told)["answerTokens"].get<double>() >= part * usual) return;
    } else {
      return;
    }
  }
}

// False: no edit of the target comes, as it has none (any more).
bool Round::wait_for_edit() {
  const auto deadline = Clock::now() + max_wait;
  while (!editor_.held()) {
    go_on_before(deadline);
    editor_.until([&] { return editor_.held().has_value(); }, milliseconds(20));
    const auto* shown = editor_.shown(jobs_.back());
    if (!editor_.held() && (has_ended(shown->state) || shown->state == "waiting")) return false;
  }
  return true;
}

// It is made, is not made, or what it is for is not there any more when the daemon comes again.
void Round::decide_about_edit() {
  switch (chance(5)) {
    case 0:
    case 1:
      editor_.make_held();
      if (chance(2) == 0) editor_.save();
      break;
    case 2: {
      editor_.forget_held();
      const std::string& uri = tasks_.back().uri;
      const std::string over = "def other():\n    return 1\n";
      editor_.type(uri, over);
      editor_.save();
      expected_.back().document = over;
      typed_over_ = true;
      break;
    }
    default:
      editor_.forget_held();
  }
}

void Round::kill_at(Moment moment, Victims victims) {
  count_again();
  count_replayed();
  if (unwritten_) return;
  const std::uint64_t target = jobs_.back();
  Moment found = moment;
  if (moment == Moment::sent) {
    if (!wait_for_edit()) return;
    const bool early = chance(2) == 0;  // decided while the daemon lives
    if (early) decide_about_edit();
    before_ = {};
    kill(moment, victims);
    if (!early && editor_.held()) decide_about_edit();
    return;
  }
  if (moment == Moment::journal_write || moment == Moment::state_write) {
    wait_for(chance(2) == 0 ? Moment::queued : Moment::prefill);
    Writes writes(
        moment == Moment::journal_write ? home_.paths().state : home_.paths().engine() / "prefixes",
        moment == Moment::journal_write ? "jobs.sqlite-wal" : "");
    before_ = look(target);
    if (!writes.next(seconds(2))) return;
    if (chance(2) == 0) std::this_thread::sleep_for(microseconds(chance(500)));
    return kill(moment, victims);
  }
  wait_for(moment);
  std::this_thread::sleep_for(microseconds(chance(3'000)));
  before_ = look(target);
  if (before_.name == "queued") found = Moment::queued;
  if (before_.name == "prefilling") found = Moment::prefill;
  if (before_.name == "generating") found = Moment::generation;
  if (before_.name == "waiting" || has_ended(before_.name)) return;
  kill(found, victims);
}

void Round::kill(Moment found, Victims victims) {
  last_ = found;
  Tally& tally = tallies_[static_cast<std::size_t>(found)];
  if (victims.daemon && kill_daemon(home_)) {
    ++tally.kills;
    ++daemon_kills_;
    killed_ = true;
  }
  if (victims.editor) {
    ++tally.editors;
    editor_.kill();
  } else if (victims.server) {
    ++tally.servers;
    editor_.kill_server();
  }
}

// What the target's next run does of what was done.
void Round::count_again() {
  if (!std::exchange(killed_, false) || before_.name.empty()) return;
  const auto deadline = Clock::now() + max_wait;
  State now;
  for (;;) {
    now = look(jobs_.back());
    if (!now.name.empty() && now.name != "queued") break;
    // What has outlived one daemon is written down.
    if (now.name.empty() && daemon_kills_ == 1 && before_.name == "queued" &&
        watcher_.is_denied(jobs_.back())) {
      unwritten_ = true;
      ++tallies_[static_cast<std::size_t>(last_)].unwritten;
      return;
    }
    go_on_before(deadline);
    editor_.until([] { return true; }, milliseconds(1));
  }
  if (now.name == "waiting" || has_ended(now.name)) return;
  Tally& tally = tallies_[static_cast<std::size_t>(last_)];
  const auto read = static_cast<std::int64_t>(before_.prompt_done);
  tally.prompt_kept += std::min(read, now.cached);
  tally.prompt_again.push_back(std::max<std::int64_t>(read - now.cached, 0));
}

void Round::finish() {
  count_again();
  editor_.holds = false;
  Tally& tally = tallies_[static_cast<std::size_t>(last_)];
  const auto deadline = Clock::now() + max_wait;
  std::map<std::uint64_t, Clock::time_point> applied;
  for (bool all_ended = false; !all_ended && Clock::now() < deadline;) {
    all_ended = true;
    editor_.until([] { return false; }, milliseconds(10));
    for (const std::uint64_t job : jobs_) {
      if (unwritten_ && job == jobs_.back()) continue;
      const std::string state = look(job).name;
      all_ended = all_ended && has_ended(state);
      const auto* shown = editor_.shown(job);
      if (state != "waiting" || shown->state != "waiting") continue;
      if (applied.contains(job) && Clock::now() - applied[job] < seconds(3)) continue;
      applied[job] = Clock::now();
      editor_.apply(job);
    }
  }
  count_replayed();
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (!unwritten_ || i + 1 < tasks_.size()) check(i, tally);
  }
}

void Round::count_replayed() {
  const auto status = watcher_.status();
  if (!status) return;
  tallies_[static_cast<std::size_t>(last_)].replayed.push_back(
      (*status)["model"]["replayedTokens"].get<std::int64_t>());
}

void Round::check(std::size_t number, Tally& tally) {
  const Task& task = tasks_[number];
  const Outcome& expected = expected_[number];
  const std::uint64_t job = jobs_[number];
  const bool typed_over = typed_over_ && number + 1 == tasks_.size();
  const auto told = watcher_.job(job);
  const auto& document = editor_.documents().at(task.uri);
  const auto is_seen = [&] { return editor_.shown(job)->state == "done"; };
  const bool seen = editor_.until(is_seen, seconds(30));
  CAPTURE(task.action);
  CAPTURE(moment_names[static_cast<std::size_t>(last_)]);
  CAPTURE((told ? told->dump() : "no such job"));
  CAPTURE(document.edits);

  ++tally.jobs;
  const bool lost = !told || (*told)["state"] != "done";
  tally.lost += lost ? 1 : 0;
  CHECK_FALSE(lost);
  tally.unseen += !lost && !seen ? 1 : 0;
  const bool doubled = document.edits > (typed_over ? 0U : 1U);
  tally.doubled += doubled ? 1 : 0;
  CHECK_FALSE(doubled);
  if (lost) return;
  std::string text;
  if (!task.edits) text = (*told)["text"];
  bool different = document.text != expected.document || text != expected.text;
  CHECK(document.text == expected.document);
  CHECK(text == expected.text);
  if (!task.edits && seen) {
    different = different || editor_.shown(job)->text != expected.text;
    CHECK(editor_.shown(job)->text == expected.text);
  }
  tally.different += different ? 1 : 0;
}

}  // namespace hearth::tests
