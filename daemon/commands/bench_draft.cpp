// Runs and prints `hearth bench --draft`.
#include "daemon/commands/bench_draft.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/commands/bench_copy.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/version.hpp"
#include "engine/draft_session.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t tokens_per_answer = 64;
constexpr int rounds_per_answer = 2;  // of each answer the faster one counts
constexpr double least_gain = 1.05;   // less may be chance

// What people ask for: new text, known text explained, known text changed.
constexpr std::array<std::string_view, 3> questions{
    "Write a Python function that merges two sorted lists into one sorted list, without using "
    "sort. Reply with code only.",
    "Explain in a few sentences what this code does.\n\n```python\n"
    "def first_missing(numbers):\n    seen = set(numbers)\n    candidate = 1\n"
    "    while candidate in seen:\n        candidate += 1\n    return candidate\n```",
    "Add type hints and a docstring to this function. Reply with the whole function.\n\n"
    "```python\ndef group_by_length(words, longest=20):\n    groups = {}\n    for word in words:\n"
    "        if len(word) > longest:\n            continue\n"
    "        groups.setdefault(len(word), []).append(word)\n"
    "    return [groups[length] for length in sorted(groups)]\n```"};

// What answers took.
struct Spent {
  engine::DecodeCounts counts;
  double seconds = 0;  // of decoding
  double reading = 0;  // of them, the small model's of what it had not followed

  Spent& operator+=(const Spent& more) {
    counts.passes += more.counts.passes;
    counts.tokens += more.counts.tokens;
    counts.drafted += more.counts.drafted;
    counts.accepted += more.counts.accepted;
    seconds += more.seconds;
    reading += more.reading;
    return *this;
  }
  double speed() const { return static_cast<double>(counts.tokens) / seconds; }
  double accepted_per_pass() const {
    return static_cast<double>(counts.accepted) / static_cast<double>(counts.passes);
  }
};

// One way of writing, over all answers so far.
struct Way {
  const char* key;    // in JSON
  const char* shown;  // for people
  engine::Session session;
  engine::DraftSession* drafts = nullptr;
  Spent spent{};
};

engine::GenerationRequest request_of(const engine::Engine& engine, std::string_view question) {
  const engine::Profile& profile = engine.profile();
  const std::vector<engine::ChatMessage> messages{{"system", profile.system_chat},
                                                  {"user", std::string(question)}};
  engine::GenerationRequest request;
  request.prompt = engine::tokenize(engine.tokenizer(), engine::render_chat(profile, messages));
  request.max_tokens = tokens_per_answer;
  return request;
}

// Writes one answer, which must be `expected` where that is not empty, and leaves it there. What
// that took.
Spent write_answer(Way& way, engine::GenerationRequest request,
                   std::vector<engine::TokenId>& expected, const std::atomic<bool>* interrupt) {
  Spent spent;
  const double reading_before = way.drafts != nullptr ? way.drafts->counts().reading : 0;
  request.drafts = way.drafts;
  engine::Generation generation(way.session, std::move(request));
  for (auto progress = engine::Progress::more; progress != engine::Progress::done;) {
    const bool decoding = generation.decoding();
    const auto began = Clock::now();
    progress = generation.step(interrupt);
    if (progress == engine::Progress::interrupted) throw Error("interrupted");
    if (decoding) spent.seconds += std::chrono::duration<double>(Clock::now() - began).count();
  }
  spent.counts = generation.counts();
  if (way.drafts != nullptr) spent.reading = way.drafts->counts().reading - reading_before;
  if (!expected.empty() && expected != generation.answer())
    throw Error("drafts changed an answer, which they must not: this is a fault of hearth");
  expected = generation.answer();
  return spent;
}

// Every way by turns, so that what else this machine does meets all of them.
void write_answers(std::span<Way> ways, const engine::Engine& engine, std::string_view question,
                   const std::atomic<bool>* interrupt) {
  std::vector<engine::TokenId> answer;
  std::vector<std::optional<Spent>> best(ways.size());
  for (int round = 0; round < rounds_per_answer; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const Spent spent = write_answer(ways[i], request_of(engine, question), answer, interrupt);
      if (!best[i] || spent.seconds < best[i]->seconds) best[i] = spent;
    }
  }
  for (std::size_t i = 0; i < ways.size(); ++i) ways[i].spent += *best[i];
}

// What it came to.
struct Comparison {
  const Way& plain;
  const Way& copied;
  const Way& modelled;
  std::optional<double> cost;  // of the small model's draft token, as a share of a pass
  double gain() const { return modelled.spent.speed() / copied.spent.speed(); }
  bool pays() const { return gain() >= least_gain; }
};

json to_json(const Comparison& comparison) {
  json runs = json::array();
  for (const Way* way : {&comparison.plain, &comparison.copied, &comparison.modelled}) {
    runs.push_back({{"drafts", way->key},
                    {"seconds", way->spent.seconds},
                    {"readingSeconds", way->spent.reading},
                    {"tokens", way->spent.counts.tokens},
                    {"passes", way->spent.counts.passes},
                    {"drafted", way->spent.counts.drafted},
                    {"accepted", way->spent.counts.accepted},
                    {"tokensPerSecond", way->spent.speed()},
                    {"acceptedPerPass", way->spent.accepted_per_pass()},
                    {"gain", way->spent.speed() / comparison.plain.spent.speed()}});
  }
  return {{"hearth", build()},
          {"answers", questions.size()},
          {"runs", runs},
          {"draftCost", comparison.cost ? json(*comparison.cost) : json()},
          {"gain", comparison.gain()},
          {"pays", comparison.pays()}};
}

void say(const std::string& text) {
  std::printf("%s\n", wrapped(text, terminal_columns(), 2).c_str());
  std::fflush(stdout);
}

void print(const Comparison& comparison, const std::string& small) {
  std::printf("\n%-22s %9s %14s %15s %6s\n", "", "tokens/s", "accepted/pass", "drafts right",
              "gain");
  for (const Way* way : {&comparison.plain, &comparison.copied, &comparison.modelled}) {
    std::printf(
        "%-22s %9.2f %14.2f %15s %6.2f\n", way->shown, way->spent.speed(),
        way->spent.accepted_per_pass(),
        fmt::format("{} of {}", way->spent.counts.accepted, way->spent.counts.drafted).c_str(),
        way->spent.speed() / comparison.plain.spent.speed());
  }
  std::printf("\n");
  say(fmt::format("Reading the prompts took the small model {:.2f} s, which count.",
                  comparison.modelled.spent.reading));
  if (comparison.cost) {
    say(fmt::format("Its draft token costs {:.0f} % of a pass: {}.", 100 * *comparison.cost,
                    *comparison.cost < 1 ? "it pays where more than that are right"
                                         : "more than it can bring"));
  }
  const std::string result = fmt::format("{:.2f} times as fast as without it", comparison.gain());
  say(comparison.pays() ? "The small model pays here: " + result + ". `hearth generate --draft " +
                              small + "` uses it."
                        : "The small model does not pay here: " + result + ". Leave it out.");
}

}  // namespace

int bench_draft(const DraftBench& bench) {
  const InterruptFlag flag;
  const std::atomic<bool>* interrupt = &flag.flag();
  const bool progress = ::isatty(STDERR_FILENO) == 1;

  engine::EngineOptions options = configured_options(bench.model);
  require_tokenizer(options.model);
  options.host().threads = bench.threads;
  if (bench.memory) options.host().expert_memory = *bench.memory;
  options.context = 2048;  // enough for all of it
  options.mtp = engine::MtpUse::off;
  options.drafts = engine::EngineOptions{}.drafts;  // also where they are configured to be off
  options.prefix_ram_bytes = 0;
  const engine::EngineOptions small_options = draft_options(options, bench.draft);
  if (!bench.json) {
    say(
        fmt::format("measuring what drafts bring: {} answers of {} tokens, written one by one, "
                    "with drafts copied from the text, and with the small model's as well",
                    questions.size(), tokens_per_answer));
  }
  const auto small = load_with_progress(small_options, progress);
  const auto large = load_with_progress(options, progress);
  const engine::Engine& engine = large->engine();
  engine::wait_until_warm(*large, interrupt);
  if (!bench.json) {
    say(options.model.string() + "; the small one is " + small_options.model.string());
    std::string shown = show_engine(engine);
    while (shown.ends_with('\n')) shown.pop_back();
    say(shown);
  }

  engine::DraftSession drafts(small, engine);
  std::array<Way, 3> ways{
      {{.key = "none", .shown = "one by one", .session = engine::Session(large)},
       {.key = "copied", .shown = "copied drafts", .session = engine::Session(large)},
       {.key = "model",
        .shown = "the small model's, too",
        .session = engine::Session(large),
        .drafts = &drafts}}};
  ways[0].session.draft_length() = engine::DraftLength(0);
  {
    // The experts that such texts use are there before anything is measured.
    Way warm{.key = "", .shown = "", .session = engine::Session(large)};
    std::vector<engine::TokenId> ignored;
    write_answer(warm, request_of(engine, questions.back()), ignored, interrupt);
  }
  for (const std::string_view question : questions)
    write_answers(ways, engine, question, interrupt);

  const Comparison comparison{
      ways[0], ways[1], ways[2],
      ways[2].session.draft_length().cost(engine::DraftSource::small_model)};
  if (!bench.json) {
    print(comparison, small_options.model.string());
    return 0;
  }
  json result = to_json(comparison);
  result["model"] = options.model.string();
  result["draft"] = small_options.model.string();
  result["engine"] = engine.description();
  result["numerics"] = engine.numerics();
  std::printf("%s\n", result.dump(2).c_str());
  return 0;
}

}  // namespace hearth::daemon
