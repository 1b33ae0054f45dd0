// How far the estimates that people are shown can be trusted on this machine: the local model with
// a small dummy checkpoint, or one that was made before (of the real shapes, say), and requests of
// several editors that queue, are parked and share what their prompts begin with. Prints the
// shares; asserts nothing.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <limits>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/models/local.hpp"
#include "engine/dummy/dummy.hpp"
#include "tests/daemon/queue_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using Phase = lsp::GenerationProgress::Phase;

namespace {

struct Options {
  std::uint64_t jobs = 200;
  std::uint64_t longest = 4000;  // tokens of a prompt, about
  std::uint64_t shortest = 200;
  std::uint64_t hidden = 256;  // size of the dummy model
  std::uint64_t answer = 96;   // most tokens of an answer
  std::string model;           // a checkpoint's directory; empty: a tiny dummy is made
};

struct Told {
  Clock::time_point at;
  Seconds first{0};
  Seconds from{0};
  Seconds to{0};
};

struct Job {
  bool counts = true;
  bool waited = false;
  std::optional<Told> told;
  std::optional<Clock::time_point> begun;
  Clock::time_point ended;
  lsp::Answer answer;
};

class Editors {
 public:
  Editors(const Options& options, engine::EngineOptions engine)
      : options_(options), model_(host_, std::move(engine)) {}

  void work() {
    while (asked_ < options_.jobs || running_ > 0) {
      if (running_ < 4) burst();
      const std::size_t before = running_;
      host_.run_until([&] { return running_ < before; });
      if (random(0, 2) == 0 && asked_ > 0) ask(lsp::Priority::inline_completion);
      std::fprintf(stderr, "\r%zu of %llu asked, %zu running ", asked_,
                   static_cast<unsigned long long>(options_.jobs), running_);
    }
    std::fprintf(stderr, "\n");
  }

  void print() const {
    Seconds computed{0};
    for (const Job& job : jobs_) computed += job.answer.prompt_time + job.answer.answer_time;
    std::printf("%.0f s, %.0f %% of them in the engine\n", Seconds(Clock::now() - begun_).count(),
                100 * computed.count() / Seconds(Clock::now() - begun_).count());
    std::size_t told = 0;
    std::size_t waited = 0;
    std::size_t near = 0;
    std::size_t within = 0;
    std::size_t cached = 0;
    std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
    std::int64_t longest = 0;
    for (const Job& job : jobs_) {
      if (!job.counts) continue;
      shortest = std::min(shortest, job.answer.prompt_tokens);
      longest = std::max(longest, job.answer.prompt_tokens);
      if (!job.told || !job.begun) continue;
      ++told;
      waited += job.waited ? 1 : 0;
      cached += job.answer.cached_tokens > 0 ? 1 : 0;
      const Seconds first = *job.begun - job.told->at;
      near += std::abs((job.told->first - first).count()) <= 0.25 * first.count() ? 1 : 0;
      const Seconds end = job.ended - job.told->at;
      within += job.told->from <= end && end <= job.told->to ? 1 : 0;
      if (std::getenv("HEARTH_EACH") != nullptr) {
        std::printf("first %.1f, was %.1f; end %.1f to %.1f, was %.1f\n", job.told->first.count(),
                    first.count(), job.told->from.count(), job.told->to.count(), end.count());
      }
    }
    const auto share = [told](std::size_t count) {
      return 100 * static_cast<double>(count) / static_cast<double>(std::max<std::size_t>(told, 1));
    };
    std::printf(
        "%zu jobs, prompts of %lld to %lld tokens; told of %zu, %zu of which queued, %zu "
        "partly known\n",
        asked_, static_cast<long long>(shortest), static_cast<long long>(longest), told, waited,
        cached);
    std::printf("first token within a quarter: %.0f %%\nend in its range: %.0f %%\n", share(near),
                share(within));
  }

 private:
  std::uint64_t random(std::uint64_t from, std::uint64_t to) {  // both included
    return from + random_() % (to - from + 1);
  }

  void burst() {
    const std::uint64_t count = std::min<std::uint64_t>(random(1, 24), options_.jobs - asked_);
    for (std::uint64_t i = 0; i < count; ++i, ++asked_) {
      ask(random(0, 4) == 0 ? lsp::Priority::background : lsp::Priority::explicit_request);
    }
  }

  std::string words(std::uint64_t count, std::mt19937_64& bits) {
    constexpr const char* some[] = {"item", "total", "value", "return", "for", "if", "list"};
    std::string text;
    for (std::uint64_t i = 0; i < count; ++i) text += std::string(some[bits() % 7]) + " ";
    return text;
  }

  void ask(lsp::Priority priority) {
    const std::uint64_t client = random(1, 4);
    const bool completes = priority == lsp::Priority::inline_completion;
    const std::uint64_t length = random(options_.shortest, options_.longest);
    const std::uint64_t shared = random(0, 2) == 0 ? 0 : length * random(2, 9) / 10;
    // Each editor's code begins as it always does.
    std::mt19937_64 own(client);
    const std::string beginning = words(shared / 500 * 500, own);
    lsp::Prompt prompt;
    if (completes) {
      prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
      prompt.prefix = {{beginning + words(random(5, 60), random_)}};
      prompt.suffix = {{"\n"}};
    } else {
      prompt.messages = {
          {lsp::Role::user,
           {{beginning, lsp::Provenance::selection, true},
            {words(length - shared / 500 * 500, random_), lsp::Provenance::instruction}}}};
    }
    // What a dummy writes is noise: it ends where these letters happen to come.
    constexpr std::pair<const char*, const char*> actions[] = {
        {"explain", "er"}, {"fix", "e"}, {"tests", "tion"}, {"document", "in"}};
    const auto& [action, stop] = actions[random(0, 3)];
    lsp::GenerateOptions generate;
    generate.priority = priority;
    generate.max_tokens = static_cast<std::int64_t>(completes ? 16 : options_.answer);
    generate.stop_strings = {stop};
    generate.sampling = lsp::Sampling::recommended;
    generate.seed = random_();
    generate.client = client;
    generate.action = completes ? "" : action;

    Job& job = jobs_.emplace_back();
    job.counts = !completes;
    ++running_;
    lsp::GenerationEvents events;
    events.on_progress = [&job](const lsp::GenerationProgress& progress) {
      const auto now = Clock::now();
      job.waited = job.waited || progress.ahead > 0;
      if (progress.phase == Phase::generating && !job.begun) job.begun = now;
      if (job.told || job.begun || !progress.first_token || !progress.end) return;
      job.told = Told{now, *progress.first_token, progress.end->from, progress.end->to};
    };
    events.on_done = [this, &job](const lsp::Result<lsp::Answer>& result) {
      --running_;
      job.ended = Clock::now();
      if (const auto* error = std::get_if<lsp::ModelError>(&result))
        throw std::runtime_error(error->message);
      job.answer = std::get<lsp::Answer>(result);
    };
    model_.generate(std::move(prompt), std::move(generate), std::move(events));
  }

  const Options options_;
  const Clock::time_point begun_ = Clock::now();
  tests::QueueHost host_;
  daemon::LocalModel model_;
  std::deque<Job> jobs_;
  std::size_t asked_ = 0;
  std::size_t running_ = 0;
  std::mt19937_64 random_{1};
};

Options read(int count, char** arguments) {
  Options options;
  const std::pair<std::string_view, std::uint64_t*> all[] = {{"--jobs", &options.jobs},
                                                             {"--longest", &options.longest},
                                                             {"--shortest", &options.shortest},
                                                             {"--hidden", &options.hidden},
                                                             {"--answer", &options.answer}};
  for (int i = 1; i < count; i += 2) {
    const std::string_view name = arguments[i];
    const auto* found = std::ranges::find(all, name, [](const auto& each) { return each.first; });
    if ((found == std::end(all) && name != "--model") || i + 1 == count) {
      throw std::runtime_error(
          "usage: estimates [--jobs 200] [--shortest 200] [--longest 4000] [--hidden 256] "
          "[--answer 96] [--model DIRECTORY]");
    }
    if (found == std::end(all)) {
      options.model = arguments[i + 1];
    } else {
      *found->second = std::stoull(arguments[i + 1]);
    }
  }
  if (options.shortest > options.longest || options.longest > 7000)
    throw std::runtime_error("prompts have --shortest to --longest tokens, at most 7000");
  return options;
}

}  // namespace

int main(int count, char** arguments) try {
  const Options options = read(count, arguments);
  const tests::TemporaryDirectory directory;
  engine::EngineOptions engine;
  engine.model = options.model;
  if (options.model.empty()) {
    engine::DummyOptions dummy;
    dummy.out = directory.path() / "dummy";
    dummy.config = engine::tiny_config(static_cast<int>(options.hidden), 4, 16);
    dummy.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
    if (!engine::write_dummy(dummy)) return 1;
    engine.model = dummy.out;
  }
  engine.prefix_ram_bytes = std::uint64_t{1} << 28;
  Editors editors(options, std::move(engine));
  editors.work();
  editors.print();
} catch (const std::exception& error) {
  std::fprintf(stderr, "estimates: %s\n", error.what());
  return 1;
}
