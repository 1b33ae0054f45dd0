// The local engine behind lsp::Model, with the embedded checkpoint.
#include "daemon/models/local.hpp"
#include "daemon/engine_options.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "daemon/commands/bench_copy.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/status.hpp"
#include "kernels/cpu/gemm/choice.hpp"
#include "tests/daemon/queue_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using lsp::Priority;
using lsp::Prompt;
using tests::QueueHost;

namespace {

constexpr const char* explanation =
    "Computes the average of the values: it adds them up and divides the total by their number.";

Prompt task_prompt(const std::string& task) {
  const lsp::Segment code{
      "File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
      "    for value in values:\n        total += value\n    return total / len(values)\n```\n\n",
      lsp::Provenance::selection, true};
  Prompt prompt;
  prompt.messages = {
      {lsp::Role::system,
       {{"You are a programming assistant inside an editor.", lsp::Provenance::system}}},
      {lsp::Role::user, {code, {task, lsp::Provenance::instruction}}}};
  return prompt;
}

Prompt explain_prompt() {
  return task_prompt("Explain what this code does.");
}

Prompt completion_prompt() {
  Prompt prompt;
  prompt.kind = Prompt::Kind::fill_in_the_middle;
  prompt.prefix = {{"def total_price(items):\n    total = 0\n    for item in items:\n        "}};
  prompt.suffix = {{"\n"}};
  return prompt;
}

engine::EngineOptions ember() {
  engine::EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/engine/ember";
  options.host().threads = 2;
  return options;
}

// Ember as a model that thinks; it never closes its thought by itself.
class ThinkingEmber {
 public:
  ThinkingEmber() {
    for (const auto& file : std::filesystem::directory_iterator(ember().model)) {
      if (file.path().filename() == "hearth.json") continue;
      std::filesystem::create_symlink(file.path(), directory_.path() / file.path().filename());
    }
    auto profile = nlohmann::json::parse(read_file(ember().model / "hearth.json", 1 << 20));
    profile["thinking"] = true;
    write_file(directory_.path() / "hearth.json", profile.dump());
  }
  engine::EngineOptions options() const {
    engine::EngineOptions options = ember();
    options.model = directory_.path();
    return options;
  }

 private:
  tests::TemporaryDirectory directory_;
};

// What came of one generate().
struct Outcome {
  std::optional<lsp::Result<lsp::Answer>> result;
  std::string streamed;
  std::vector<lsp::GenerationProgress> progress;

  const lsp::Answer& answer() const {
    REQUIRE(result);
    REQUIRE(std::holds_alternative<lsp::Answer>(*result));
    return std::get<lsp::Answer>(*result);
  }
  const lsp::ModelError& error() const {
    REQUIRE(result);
    REQUIRE(std::holds_alternative<lsp::ModelError>(*result));
    return std::get<lsp::ModelError>(*result);
  }
};

struct Stage {
  explicit Stage(engine::EngineOptions options = ember()) : model(host, std::move(options)) {}

  lsp::GenerationId generate(Outcome& outcome, Prompt prompt,
                             Priority priority = Priority::explicit_request,
                             std::int64_t max_tokens = 128) {
    return model.generate(std::move(prompt), {priority, max_tokens, {}},
                          {[&outcome](const lsp::GenerationProgress& progress) {
                             outcome.progress.push_back(progress);
                           },
                           [&outcome](const std::string& text) {
                             CHECK_FALSE(outcome.result);
                             outcome.streamed += text;
                           },
                           [&outcome](lsp::Result<lsp::Answer> result) {
                             CHECK_FALSE(outcome.result);
                             outcome.result = std::move(result);
                           }});
  }
  void finish(const Outcome& outcome) {
    host.run_until([&] { return outcome.result.has_value(); });
  }
  Outcome run(Prompt prompt) {
    Outcome outcome;
    generate(outcome, std::move(prompt));
    finish(outcome);
    return outcome;
  }
  void load() {
    bool described = false;
    model.describe([&](const auto&) { described = true; });
    host.run_until([&] { return described; });
  }

  QueueHost host;
  LocalModel model;
};

}  // namespace

TEST_CASE("a model that thinks answers behind its thought, however long that is") {
  const ThinkingEmber thinking;
  Stage stage(thinking.options());
  Outcome outcome;
  stage.model.generate(
      explain_prompt(), {Priority::explicit_request, 16, {}, true, 10},
      {[&](const lsp::GenerationProgress& progress) { outcome.progress.push_back(progress); },
       [&](const std::string& text) { outcome.streamed += text; },
       [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
  stage.finish(outcome);
  const lsp::Answer& answer = outcome.answer();
  CHECK(answer.thought_cut);
  CHECK(answer.thought_tokens >= 11);
  CHECK(answer.answer_tokens > 0);
  CHECK(answer.answer_tokens <= 16);
  CHECK_FALSE(answer.text.empty());
  CHECK(answer.text == outcome.streamed);
  CHECK(answer.text.find("think>") == std::string::npos);
  std::int64_t max = 0;
  for (const auto& progress : outcome.progress) {
    if (progress.phase != lsp::GenerationProgress::Phase::thinking) continue;
    CHECK(progress.answer_tokens == 0);
    max = std::max(max, progress.thought_tokens);
  }
  CHECK(max > 0);
  bool thinks = false;
  stage.model.describe([&](const lsp::Result<lsp::ModelDescription>& described) {
    thinks = std::get<lsp::ModelDescription>(described).profile.thinking;
  });
  stage.host.run_until([&] { return thinks; });
}

TEST_CASE("a question that follows reads nothing again, thoughts included") {
  const ThinkingEmber thinking;
  for (const auto& options : {ember(), thinking.options()}) {
    Stage stage(options);
    Prompt prompt = explain_prompt();
    for (int turn = 0; turn < 3; ++turn) {
      Outcome outcome;
      stage.model.generate(
          prompt,
          {Priority::explicit_request, 24, {}, turn != 1, 12, lsp::Sampling::recommended, 5},
          {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
      stage.finish(outcome);
      const lsp::Answer& answer = outcome.answer();
      REQUIRE_FALSE(answer.generated.empty());
      if (turn > 0) {
        // What is new: the rest of the template around a turn, and the question.
        CAPTURE(turn);
        CHECK(answer.prompt_tokens - answer.cached_tokens <= 32);
      }
      prompt.messages.push_back({lsp::Role::assistant,
                                 {{answer.text, lsp::Provenance::answer, false}},
                                 answer.generated});
      prompt.messages.push_back(
          {lsp::Role::user, {{"And what if it is empty?", lsp::Provenance::instruction, false}}});
    }
  }
}

TEST_CASE("a thinking model that may not think answers at once") {
  const ThinkingEmber thinking;
  Stage stage(thinking.options());
  Outcome outcome;
  stage.model.generate(
      explain_prompt(), {Priority::explicit_request, 16, {}, false},
      {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
  stage.finish(outcome);
  CHECK_FALSE(outcome.answer().text.empty());
  CHECK(outcome.answer().thought_tokens <= 4);  // what closes it
}

TEST_CASE("it describes the checkpoint once it is loaded") {
  Stage stage;
  std::optional<lsp::Result<lsp::ModelDescription>> described;
  stage.model.describe([&](auto result) { described = result; });
  CHECK_FALSE(described);  // never before the call returns
  stage.host.run_until([&] { return described.has_value(); });
  const auto& description = std::get<lsp::ModelDescription>(*described);
  CHECK(description.profile.name == "ember");
  CHECK(description.profile.wordings.empty());  // they are the actions' own
  CHECK(description.profile.context_tokens == 2048);
}

// What `hearth status` shows of a model.
std::string shown(const ModelStatus& status) {
  return show_status({{"pid", 1},
                      {"build", "test"},
                      {"uptimeSeconds", 1},
                      {"clients", nlohmann::json::array()},
                      {"jobs", nlohmann::json::array()},
                      {"log", ""},
                      {"config", ""},
                      {"model", to_json(status)}},
                     1'000);
}

TEST_CASE("status and bench say where another definition than the plain one is followed") {
  const std::string note = "numerics gemm bf16x3: reading prompts differs in bits from gemm f32";
  std::uint64_t other = 0;
  {
    const kernels::cpu::ForcedChoice forced(
        {&kernels::cpu::scalar_gemm, "bf16x3", "as if in parts"});
    Stage stage;
    stage.load();
    CHECK(shown(stage.model.status()).find(note) != std::string::npos);
    const auto runtime = engine::Runtime::load(ember());
    CHECK(show_engine(runtime->engine()) == runtime->engine().description() + "\n  " + note + "\n");
    other = runtime->engine().fingerprint();
  }
  engine::EngineOptions options = ember();
  options.host().isa = kernels::Isa::scalar;
  Stage stage(options);
  stage.load();
  CHECK(shown(stage.model.status()).find("numerics") == std::string::npos);
  const auto runtime = engine::Runtime::load(options);
  CHECK(show_engine(runtime->engine()) == runtime->engine().description() + "\n");
  CHECK(runtime->engine().fingerprint() != other);
}

TEST_CASE("an answer is the checkpoint's own, streamed and whole") {
  Stage stage;
  const Outcome outcome = stage.run(explain_prompt());
  CHECK(outcome.answer().text == explanation);
  CHECK(outcome.streamed == explanation);
  CHECK(outcome.answer().finish == lsp::FinishReason::stop);
  CHECK(outcome.answer().cached_tokens == 0);
  REQUIRE_FALSE(outcome.progress.empty());
  CHECK(outcome.progress.front().phase == lsp::GenerationProgress::Phase::loading);
  CHECK(outcome.progress.back().phase == lsp::GenerationProgress::Phase::generating);
  double done = 0;
  for (const auto& progress : outcome.progress) {
    CHECK(progress.prompt_done >= done);
    done = progress.prompt_done;
  }
}

TEST_CASE("the same prompt again is read from its state, with the same answer") {
  Stage stage;
  stage.run(explain_prompt());
  const Outcome again = stage.run(explain_prompt());
  CHECK(again.answer().text == explanation);
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
}

TEST_CASE("a new process reads a prompt from what the old one left on disk") {
  const tests::TemporaryDirectory directory;
  engine::EngineOptions options = ember();
  options.prefix_directory = directory.path() / "prefixes";
  options.disk_min_seconds = 0;
  {
    Stage stage(options);
    CHECK(stage.run(explain_prompt()).answer().cached_tokens == 0);
  }
  Stage stage(options);
  const Outcome again = stage.run(explain_prompt());
  CHECK(again.answer().text == explanation);
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
  const auto prefixes = stage.model.status().prefixes;
  CHECK(prefixes.disk);
  CHECK(prefixes.hits == 1);
  CHECK(prefixes.written_today == prefixes.disk_bytes);
}

TEST_CASE("another task on the same code reads only its own wording") {
  Stage stage;
  stage.run(explain_prompt());
  const Outcome other = stage.run(task_prompt("Add type hints."));
  const auto unread = other.answer().prompt_tokens - other.answer().cached_tokens;
  CHECK(other.answer().cached_tokens > 60);
  CHECK(unread < 20);
}

TEST_CASE("completions keep to their bound and say so") {
  Stage stage;
  Outcome outcome;
  stage.generate(outcome, completion_prompt(), Priority::inline_completion, 2);
  stage.finish(outcome);
  CHECK(outcome.answer().finish == lsp::FinishReason::length);
  CHECK(outcome.answer().answer_tokens == 2);
}

TEST_CASE("a more urgent want is served in the middle of another, which loses nothing") {
  Stage stage;
  stage.load();
  Outcome job;
  Outcome completion;
  std::atomic<bool> begun = false;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    // In the computing thread, with the job's first words on their way.
    if (stage.model.status().answer_tokens == 0 || begun.exchange(true)) return;
    stage.generate(completion, completion_prompt(), Priority::inline_completion);
  };
  stage.generate(job, explain_prompt(), Priority::background);
  stage.finish(completion);
  CHECK_FALSE(job.result);
  stage.finish(job);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(job.answer().text == explanation);
  CHECK(completion.answer().text.starts_with("total += item"));
}

TEST_CASE("who waits is told for how many, and from when to when") {
  Stage stage;
  stage.run(explain_prompt());  // what is measured is known
  Outcome first;
  Outcome second;
  stage.host.keep_in_step(true);
  stage.generate(first, task_prompt("What is it for?"));
  stage.generate(second, task_prompt("Explain what this code does, and how."));
  stage.finish(second);
  stage.host.keep_in_step(false);
  CHECK(first.result);
  bool told = false;
  for (const auto& progress : second.progress) {
    using Phase = lsp::GenerationProgress::Phase;
    if (progress.phase == Phase::queued && progress.ahead > 0) {
      told = true;
      CHECK(progress.ahead == 1);
      CHECK(progress.prompt_tokens == second.answer().prompt_tokens);
      REQUIRE(progress.first_token);
      REQUIRE(progress.eta);
      CHECK(*progress.first_token < *progress.eta);
    }
    if (progress.end) {
      CHECK(progress.end->from.count() >= 0);
      CHECK(progress.end->from <= *progress.eta);
      CHECK(*progress.eta <= progress.end->to);
    }
    if (progress.phase == Phase::generating) CHECK_FALSE(progress.first_token);
  }
  CHECK(told);
  CHECK(second.progress.back().end);
}

TEST_CASE("what is done between two steps is a part of what a token takes") {
  engine::EngineOptions options = ember();
  options.drafts = 0;  // a token a step
  Stage stage(options);
  stage.load();
  constexpr std::chrono::milliseconds between{20};
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] { std::this_thread::sleep_for(between); };
  Outcome outcome;
  stage.generate(outcome, explain_prompt());
  stage.finish(outcome);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(*stage.model.status().decode_speed < 1000.0 / between.count());
}

TEST_CASE("a parked answer is told that it waits") {
  Stage stage;
  stage.run(explain_prompt());
  Outcome parked;
  Outcome urgent;
  std::atomic<bool> begun = false;
  stage.host.keep_in_step(true);
  const std::uint64_t before = stage.model.status().answer_tokens;
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens == before || begun.exchange(true)) return;
    stage.generate(urgent, task_prompt("What is it for?"));
  };
  stage.generate(parked, task_prompt("Explain it."), Priority::background);
  stage.finish(parked);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(urgent.result);
  const auto waits = [](const lsp::GenerationProgress& progress) {
    return progress.phase == lsp::GenerationProgress::Phase::generating && progress.ahead == 1;
  };
  CHECK(std::ranges::any_of(parked.progress, waits));
  CHECK(parked.progress.back().ahead == 0);
}

TEST_CASE("who asks for much at a time is refused in a sentence") {
  Stage stage;
  std::vector<Outcome> outcomes(Scheduler::max_waiting_of_client + 1);
  for (Outcome& outcome : outcomes) {
    lsp::GenerateOptions options;
    options.client = 7;
    stage.model.generate(
        explain_prompt(), options,
        {{}, {}, [&outcome](lsp::Result<lsp::Answer> result) { outcome.result = result; }});
  }
  stage.finish(outcomes.back());
  CHECK(outcomes.back().error().message ==
        "too many requests of this editor are waiting: try again when some are done");
  CHECK_FALSE(outcomes.front().result);
}

TEST_CASE("what was measured is known to the next daemon, unless it is damaged") {
  const tests::TemporaryDirectory state;
  engine::EngineOptions options = ember();
  options.experts.history = state.path();
  const auto usual = [](Stage& stage) {
    stage.load();
    return stage.model.usual_time(Prompt::Kind::chat, 100, {});
  };
  {
    Stage stage(options);
    CHECK_FALSE(usual(stage));
    stage.run(explain_prompt());
  }
  {
    Stage stage(options);
    CHECK(usual(stage));
  }
  write_file(state.path() / "estimates.json", "{");
  Stage stage(options);
  CHECK_FALSE(usual(stage));
}

TEST_CASE("what was measured is on the disk before the daemon ends") {
  const tests::TemporaryDirectory state;
  engine::EngineOptions options = ember();
  options.experts.history = state.path();
  Stage stage(options);
  stage.load();
  CHECK_FALSE(exists(state.path() / "estimates.json"));
  stage.run(explain_prompt());
  stage.run(explain_prompt());  // the computing thread is past the first
  const auto kept = nlohmann::json::parse(read_file(state.path() / "estimates.json", 1 << 20));
  CHECK(kept["prefill"][0] > 0);
}

TEST_CASE("a list of jobs says how long each will take") {
  lsp::Job job;
  job.id = 7;
  job.request.title = "Explain average";
  job.progress.ahead = 2;
  job.progress.first_token = std::chrono::seconds(40);
  job.progress.eta = std::chrono::seconds(60);
  job.progress.end = lsp::TimeRange{std::chrono::seconds(50), std::chrono::seconds(90)};
  const nlohmann::json waiting = to_json(job);
  CHECK(waiting["message"] == "queued behind 2, begins in about 40 s");
  CHECK(waiting["endMs"] == nlohmann::json{50'000, 90'000});
  CHECK(show_jobs(nlohmann::json::array({waiting})) ==
        "7  queued     Explain average, 0 tokens written, begins in about 40 s\n");
  job.state = lsp::JobState::done;
  CHECK(show_jobs(nlohmann::json::array({to_json(job)})).find("begins") == std::string::npos);
}

TEST_CASE("cancelled in the middle, it computes no further") {
  Stage stage;
  stage.load();
  Outcome outcome;
  std::atomic<lsp::GenerationId> id = 0;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens > 2) stage.model.cancel(id);
  };
  id = stage.generate(outcome, explain_prompt());
  stage.finish(outcome);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(outcome.error().kind == lsp::ModelError::Kind::cancelled);
  const ModelStatus status = stage.model.status();
  CHECK(status.cancelled == 1);
  CHECK(status.waiting == 0);
  CHECK(status.answer_tokens < 32);  // as many as the whole answer has
  CHECK(stage.model.status().steps == status.steps);
}

TEST_CASE("what was read before a cancellation is not read again") {
  Stage stage;
  stage.load();
  Outcome first;
  std::atomic<lsp::GenerationId> id = 0;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens > 0) stage.model.cancel(id);
  };
  id = stage.generate(first, explain_prompt());
  stage.finish(first);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(first.error().kind == lsp::ModelError::Kind::cancelled);
  const Outcome again = stage.run(explain_prompt());
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
  CHECK(again.answer().text == explanation);
}

TEST_CASE("a want that waits for the model is cancelled at once") {
  Stage stage;
  Outcome outcome;
  const auto id = stage.generate(outcome, explain_prompt());
  stage.model.cancel(id);
  stage.finish(outcome);
  CHECK(outcome.error().kind == lsp::ModelError::Kind::cancelled);
}

TEST_CASE("a prompt read ahead costs nothing when it is asked for") {
  Stage stage;
  std::optional<lsp::Result<lsp::Estimate>> read;
  stage.model.prefill(explain_prompt(), [&](auto result) { read = result; });
  stage.host.run_until([&] { return read.has_value(); });
  const auto total = std::get<lsp::Estimate>(*read).prompt_tokens;
  CHECK(std::get<lsp::Estimate>(*read).uncached_tokens == total);

  std::optional<lsp::Result<lsp::Estimate>> estimate;
  stage.model.estimate(explain_prompt(), [&](auto result) { estimate = result; });
  stage.host.run_until([&] { return estimate.has_value(); });
  CHECK(std::get<lsp::Estimate>(*estimate).prompt_tokens == total);
  CHECK(std::get<lsp::Estimate>(*estimate).uncached_tokens == 0);
  CHECK(std::get<lsp::Estimate>(*estimate).first_token == std::chrono::milliseconds(0));
  CHECK(stage.run(explain_prompt()).answer().cached_tokens == total);
}

TEST_CASE("the status tells what speculation did, and none is made where it is off") {
  const std::filesystem::path model = HEARTH_SOURCE_DIR "/engine/ember";
  Config config;
  for (const Speculation speculate :
       {Speculation::automatic, Speculation::copy, Speculation::mtp, Speculation::off}) {
    CAPTURE(static_cast<int>(speculate));
    config.decode_speculate = speculate;
    Stage stage(engine_options(config, model, {}));
    CHECK(stage.run(completion_prompt()).answer().finish == lsp::FinishReason::stop);
    const ModelStatus status = stage.model.status();
    CHECK(status.mtp == (speculate == Speculation::automatic || speculate == Speculation::mtp));
    CHECK((status.drafts > 0) == (speculate != Speculation::off));
    CHECK(status.decoded.passes > 0);
    CHECK(status.decoded.tokens == status.decoded.passes + status.decoded.accepted);
    CHECK(status.decoded.accepted <= status.decoded.drafted);
    if (status.mtp) CHECK(status.decoded.drafted > 0);
    if (speculate == Speculation::off) CHECK(status.decoded.drafted == 0);
    const auto shown = to_json(status)["speculation"];
    CHECK(shown["passes"] == status.decoded.passes);
    CHECK(shown["accepted"] == status.decoded.accepted);
  }
}

TEST_CASE("tokens are counted by the checkpoint's tokenizer") {
  Stage stage;
  std::optional<lsp::Result<std::vector<std::int64_t>>> counted;
  stage.model.count_tokens({"", "def average(values):"}, [&](auto result) { counted = result; });
  stage.host.run_until([&] { return counted.has_value(); });
  CHECK(std::get<std::vector<std::int64_t>>(*counted) == std::vector<std::int64_t>{0, 7});
}

TEST_CASE("a prompt beyond the context fails with the numbers") {
  Stage stage;
  Prompt prompt = explain_prompt();
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "value ";
  prompt.messages[1].segments[1].text = text;
  const Outcome outcome = stage.run(prompt);
  CHECK(outcome.error().message.find("the context holds 2048") != std::string::npos);
  CHECK(stage.model.status().state == ModelStatus::State::ready);  // the model is not to blame
  CHECK(stage.run(explain_prompt()).answer().text == explanation);
}

TEST_CASE("a checkpoint that cannot be loaded fails everything that is asked, with the reason") {
  const tests::TemporaryDirectory empty;
  engine::EngineOptions options;
  options.model = empty.path();
  Stage stage(options);
  Outcome early;
  stage.generate(early, explain_prompt());
  stage.finish(early);
  CHECK(early.error().message.find("config.json") != std::string::npos);
  CHECK(early.error().kind == lsp::ModelError::Kind::unavailable);
  std::optional<lsp::Result<lsp::ModelDescription>> described;
  stage.model.describe([&](auto result) { described = result; });
  stage.host.run_until([&] { return described.has_value(); });
  CHECK(std::get<lsp::ModelError>(*described).message.find("config.json") != std::string::npos);
  CHECK(stage.run(explain_prompt()).error().message.find("config.json") != std::string::npos);
  CHECK(stage.model.status().state == ModelStatus::State::failed);
}

TEST_CASE("a model whose requests fail is not called ready, until one is computed again") {
  const tests::TemporaryDirectory directory;
  engine::EngineOptions options = ember();
  for (const auto& file : std::filesystem::directory_iterator(options.model)) {
    std::filesystem::copy(file, directory.path() / file.path().filename());
  }
  options.model = directory.path();
  options.host().expert_memory = 1 << 20;  // so that each request reads some
  Stage stage(options);
  const std::string answer = stage.run(explain_prompt()).answer().text;
  CHECK(stage.model.status().state == ModelStatus::State::ready);

  std::vector<std::filesystem::path> shards;
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    if (file.path().extension() == ".safetensors") shards.push_back(file.path());
  }
  std::vector<std::filesystem::file_time_type> times;
  for (const auto& shard : shards) {
    times.push_back(std::filesystem::last_write_time(shard));
    std::filesystem::resize_file(shard, 5000);
  }
  for (const std::uint64_t failures : {1u, 2u}) {
    const std::string message = stage.run(explain_prompt()).error().message;
    CAPTURE(message);
    CHECK(message.find(".safetensors") != std::string::npos);  // the file at fault
    const ModelStatus status = stage.model.status();
    CHECK(status.state == ModelStatus::State::failing);
    CHECK(status.failed_in_a_row == failures);
  }
  CHECK(to_json(stage.model.status())["state"] == "failing");
  CHECK(shown(stage.model.status())
            .find("the last 2 requests failed: " + directory.path().string()) != std::string::npos);

  for (std::size_t i = 0; i < shards.size(); ++i) {  // the same files have their bytes again
    std::ifstream whole(ember().model / shards[i].filename(), std::ios::binary);
    std::ofstream(shards[i], std::ios::binary) << whole.rdbuf();
    std::filesystem::last_write_time(shards[i], times[i]);
  }
  CHECK(stage.run(explain_prompt()).answer().text == answer);
  CHECK(stage.model.status().state == ModelStatus::State::ready);
  CHECK(stage.model.status().failed_in_a_row == 0);
}

TEST_CASE("its end does not wait for what is under way") {
  Outcome outcome;
  {
    Stage stage;
    stage.generate(outcome, explain_prompt());
  }
  CHECK_FALSE(outcome.result);
}
