// One round of kills: some jobs of one editor, whose processes are killed again and again until all
// have ended, and what came of each beside what comes of it in peace.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/daemon/kills/editor.hpp"
#include "tests/daemon/kills/moments.hpp"

namespace hearth::tests {

// Where a kill finds the job that is looked at.
enum class Moment : std::uint8_t {
  queued,
  prefill,
  generation,
  sent,           // its edit is with the editor, which has not answered
  journal_write,  // of jobs.sqlite's log
  state_write,    // of a checkpoint
  count
};
inline constexpr auto moments = static_cast<std::size_t>(Moment::count);
inline constexpr std::array<std::string_view, moments> moment_names{
    "queued", "prefill", "generation", "sent", "journal write", "state write"};

// Which processes are killed at once.
struct Victims {
  bool daemon = true;
  bool server = false;  // `hearth lsp`
  bool editor = false;
};

struct Tally {
  std::size_t kills = 0;
  std::size_t servers = 0;  // kills of `hearth lsp`
  std::size_t editors = 0;
  std::size_t jobs = 0;
  std::size_t lost = 0;       // no daemon knows it, or it is not done
  std::size_t doubled = 0;    // an edit was made twice
  std::size_t different = 0;  // text or document is not that of a run in peace
  // Done, and its end was told to an editor that never got it: `hearth jobs` has it.
  std::size_t unseen = 0;
  // Killed while it waited, some milliseconds after its editor was told of it and before it was
  // written down that there is such a job: no daemon knows it, and the person has to ask again.
  std::size_t unwritten = 0;
  std::int64_t prompt_kept = 0;  // tokens of prompts that were not read again, all together
  std::vector<std::int64_t> prompt_again;  // tokens of a prompt that were, after each kill
  // Tokens that each daemon replayed. What was written within the last moment before a kill
  // is written anew, and not among them.
  std::vector<std::int64_t> replayed;
};
using Tallies = std::array<Tally, moments>;

struct Task {
  std::string action;
  std::string uri;
  std::string text;  // of its document, which is all about it
  Json more;
  bool edits = false;
};

// What comes of a task.
struct Outcome {
  std::string text;      // what is to be read in the end; of an edit none
  std::string document;  // as it is then
};
// Where nothing is killed. The tasks are of one session, as in a Round, by another home's daemon.
std::vector<Outcome> outcomes_in_peace(const Home& home, const std::vector<Task>& tasks);

class Round {
 public:
  // `holds`: the editor makes no edit before kill_at(Moment::sent) says what becomes of it.
  Round(const Home& home, std::vector<Task> tasks, std::vector<Outcome> expected, bool holds,
        std::mt19937& random, Tallies& tallies);

  // Kills once, at such a moment of the last task's job. It is counted where it was found.
  void kill_at(Moment moment, Victims victims);
  // All jobs come to their end, what waits for the person is applied; then it is looked at.
  void finish();

 private:
  struct State {
    std::string name;  // empty: it is not known
    double prompt_done = 0;
    std::int64_t answer = 0;
    std::int64_t cached = 0;
  };

  State look(std::uint64_t job);
  void go_on_before(std::chrono::steady_clock::time_point deadline);
  void wait_for(Moment moment);
  bool wait_for_edit();
  void decide_about_edit();
  void kill(Moment found, Victims victims);
  void count_again();
  void count_replayed();
  void check(std::size_t number, Tally& tally);
  std::uint64_t chance(std::uint64_t below);

  const Home& home_;
  const std::vector<Task> tasks_;
  std::vector<Outcome> expected_;
  std::mt19937& random_;
  Tallies& tallies_;
  Watcher watcher_;
  KilledEditor editor_;
  std::vector<std::uint64_t> jobs_;
  Moment last_ = Moment::queued;  // of the last kill
  State before_;                  // the target, when its daemon was last killed
  bool killed_ = false;           // since it was last seen to run
  std::size_t daemon_kills_ = 0;
  bool unwritten_ = false;   // the target, as the Tally says
  bool typed_over_ = false;  // the person changed the place of the target's edit
};

}  // namespace hearth::tests
