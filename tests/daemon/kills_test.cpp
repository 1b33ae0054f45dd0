// kill -9 at random moments: no job is lost, no edit is made twice, and each job ends as one that
// nobody disturbed.
#include <doctest/doctest.h>
#include <signal.h>

#include <fmt/format.h>
#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/daemon/kills/round.hpp"

using namespace hearth::tests;

namespace {

// Chunks of 64 tokens, each with a checkpoint that goes to disk, however quick this machine is.
std::string configuration(bool is_long) {
  return std::string(
             "[prefix_cache]\ninterval = 64\nmin_recompute_time = \"0ms\"\n"
             "daily_write_limit = \"500G\"\n"
             "[memory]\nscratch = \"1M\"\n"
             "[answer]\nmax_tokens = ") +
         (is_long ? "2000" : "512") + "\n";
}

// So many functions whose names nobody else has.
std::string functions(std::size_t round, std::size_t task, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format(
        "def average{}(values):\n"
        "    total = 0\n"
        "    for value in values:\n"
        "        total += value\n"
        "    return total / len(values)\n",
        1000 * round + 100 * task + i);
  }
  return text;
}

Task task(std::size_t round, std::size_t number, const std::string& action, std::size_t count) {
  Task task;
  task.action = action;
  task.uri = fmt::format("{}/round{}_{}.py", KilledEditor::folder, round, number);
  task.text = functions(round, number, count);
  task.edits = action == "document" || action == "edit";
  task.more = Json::object();
  if (action == "edit") task.more["instruction"] = "Rename the function to `mean`.";
  return task;
}

// What is looked at comes last; what is before it keeps it waiting.
std::vector<Task> tasks_for(Moment moment, std::size_t round, std::mt19937& random) {
  std::vector<Task> tasks;
  if (moment == Moment::queued) {
    tasks.push_back(task(round, 2, "review", 8));
    tasks.push_back(task(round, 3, "review", 4 + random() % 8));
  }
  const bool edits = moment == Moment::sent || random() % 3 == 0;
  if (edits) {
    tasks.push_back(task(round, 1, random() % 2 == 0 ? "document" : "edit", 1 + random() % 4));
  } else if (moment == Moment::generation || random() % 2 == 0) {
    tasks.push_back(task(round, 1, "review", 2 + random() % 8));
  } else {
    tasks.push_back(task(round, 1, "explain", 1 + random() % 12));
  }
  return tasks;
}

bool lacks(const Tally& tally, std::size_t wanted) {
  return tally.kills < wanted || tally.servers + tally.editors < wanted;
}

Victims victims_for(const Tally& tally, std::mt19937& random) {
  const bool daemon = tally.kills <= tally.servers + tally.editors || random() % 3 == 0;
  const bool other = tally.kills > tally.servers + tally.editors || random() % 4 == 0;
  const bool editor = other && random() % 2 == 0;
  return {daemon, other && !editor, editor};
}

// "64 (12)": the most, and the median.
std::string most_and_median(std::vector<std::int64_t> counts) {
  if (counts.empty()) return "-";
  std::ranges::sort(counts);
  return fmt::format("{} ({})", counts.back(), counts[counts.size() / 2]);
}

// Of what was computed again, tokens after one kill: the most, and the median.
std::string table(const Tallies& tallies) {
  std::string text = fmt::format(
      "\n{:<14} {:>6} {:>5} {:>7} {:>5} {:>5} {:>7} {:>10} {:>7} {:>10} {:>13} {:>13}\n",
      "kills while", "daemon", "lsp", "editor", "jobs", "lost", "double", "different", "unseen",
      "unwritten", "prompt again", "replayed");
  for (std::size_t i = 0; i < moments; ++i) {
    const Tally& tally = tallies[i];
    text += fmt::format(
        "{:<14} {:>6} {:>5} {:>7} {:>5} {:>5} {:>7} {:>10} {:>7} {:>10} {:>13} {:>13}\n",
        moment_names[i], tally.kills, tally.servers, tally.editors, tally.jobs, tally.lost,
        tally.doubled, tally.different, tally.unseen, tally.unwritten,
        most_and_median(tally.prompt_again), most_and_median(tally.replayed));
  }
  return text;
}

}  // namespace

// By hand and in the long run: how long a round takes depends on all that the machine does beside.
TEST_CASE("jobs whose daemon, language server and editor are killed end as if nothing had been") {
  if (std::getenv("HEARTH_LONG") == nullptr && std::getenv("HEARTH_SEED") == nullptr) {
    MESSAGE("skipped: HEARTH_LONG is not set, nor HEARTH_SEED for a short series");
    return;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  const char* const chosen = std::getenv("HEARTH_SEED");
  const unsigned seed = chosen != nullptr ? static_cast<unsigned>(std::atoi(chosen)) : 7;
  CAPTURE(seed);
  std::mt19937 random(seed);
  // Of the daemon, and of the two others together, at each moment.
  const std::size_t wanted = is_long ? 34 : 1;

  Home home;
  Home peace;
  home.configure(configuration(is_long));
  peace.configure(configuration(is_long));
  Tallies tallies;
  std::size_t round_number = 0;
  for (std::size_t i = 0; i < moments; ++i) {
    const auto moment = static_cast<Moment>(i);
    // The moment may have passed when a kill comes, which is then counted elsewhere.
    for (std::size_t tries = 0; lacks(tallies[i], wanted) && tries < 8 * wanted; ++tries) {
      const std::vector<Task> tasks = tasks_for(moment, ++round_number, random);
      Round round(home, tasks, outcomes_in_peace(peace, tasks), moment == Moment::sent, random,
                  tallies);
      const std::size_t kills = moment == Moment::sent ? 1 : 1 + random() % 3;
      for (std::size_t kill = 0; kill < kills; ++kill)
        round.kill_at(moment, victims_for(tallies[i], random));
      round.finish();
    }
  }
  MESSAGE(table(tallies));
  std::int64_t kept = 0;
  for (std::size_t i = 0; i < moments; ++i) {
    CAPTURE(moment_names[i]);
    CHECK_FALSE(lacks(tallies[i], wanted));
    CHECK(tallies[i].lost == 0);
    CHECK(tallies[i].doubled == 0);
    CHECK(tallies[i].different == 0);
    CHECK(tallies[i].unseen == 0);
    CHECK(tallies[i].unwritten == 0);
    kept += tallies[i].prompt_kept;
  }
  CHECK(kept > 0);  // the next daemon finds what the last one read
}
