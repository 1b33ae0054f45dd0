// Two local engines on the same cores: the embedded checkpoint, and a tiny one that completes.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "daemon/models/completion_model.hpp"
#include "daemon/models/small_model.hpp"
#include "daemon/platform/files.hpp"
#include "engine/dummy/dummy.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::tests;
using lsp::Priority;

namespace {

engine::EngineOptions tiny_checkpoint(const std::filesystem::path& directory) {
  engine::DummyOptions dummy;
  dummy.out = directory / "tiny";
  dummy.config = engine::tiny_config(256, 4, 16);
  dummy.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
  REQUIRE(engine::write_dummy(dummy));
  engine::EngineOptions options = ember();
  options.model = dummy.out;
  return options;
}

lsp::GenerationEvents events_of(Generated& outcome) {
  lsp::GenerationEvents events;
  events.on_done = [&outcome](lsp::Result<lsp::Answer> result) {
    outcome.result = std::move(result);
  };
  return events;
}

lsp::GenerateOptions completing() {
  return {Priority::inline_completion, 24, {}};
}

}  // namespace

TEST_CASE("a small model completes in the middle of the large one's answer, which it changes not") {
  const TemporaryDirectory directory;
  const engine::EngineOptions options = tiny_checkpoint(directory.path());
  Generated alone;
  {
    LocalStage stage(options);
    stage.generate(alone, completion_prompt(), Priority::inline_completion, 24);
    stage.finish(alone);
  }
  REQUIRE_FALSE(alone.answer().text.empty());

  LocalStage stage;
  stage.load();
  daemon::LocalModel small(stage.host, options, &stage.model);
  daemon::CompletionModel completions(
      small, stage.model, [](const std::string&) {}, [](bool) { return std::string(); });
  bool described = false;
  completions.describe([&](const auto&) { described = true; });
  stage.host.run_until([&] { return described; });
  CHECK(completions.small_serves());

  Generated job;
  Generated completion;
  std::atomic<bool> begun = false;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    // In the large one's computing thread, with the job's first words on their way. It goes on only
    // when the small one has asked for the cores.
    if (stage.model.status().answer_tokens == 0 || begun.exchange(true)) return;
    completions.generate(completion_prompt(), completing(), events_of(completion));
    while (stage.model.status().parked == 0) std::this_thread::yield();
  };
  stage.generate(job, explain_prompt());
  stage.finish(completion);
  CHECK_FALSE(job.result);
  stage.finish(job);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(job.answer().text == explanation);
  CHECK(completion.answer().text == alone.answer().text);
  CHECK(stage.model.status().parked == 1);
  CHECK(stage.model.status().requests == 1);
  CHECK(small.status().requests == 1);
}

// Ember beside itself: what it drafts is right, so that it goes on being asked.
TEST_CASE("the small model drafts for the large one, and completes between two of its drafts") {
  Generated alone;
  {
    LocalStage stage;
    stage.generate(alone, completion_prompt(), Priority::inline_completion, 24);
    stage.finish(alone);
  }
  LocalStage stage;
  stage.load();
  daemon::SmallModel small(stage.host, ember(), 1, true, &stage.model, stage.model, [] {});
  // Between two steps of the large one, of which nobody is told.
  const auto wait_for_drafting_by = [&](const std::string& name) {
    bool described = false;
    small.completions().describe([&](const auto&) { described = true; });
    stage.host.run_until([&] { return described; });
    while (stage.model.status().drafting != name) std::this_thread::yield();
  };
  wait_for_drafting_by("ember");
  const auto accepted = [&] { return stage.model.status().decoded.accepted; };

  SUBCASE("to the end of the answer, and in the next one") {
    CHECK(stage.run(explain_prompt()).answer().text == explanation);
    const std::uint64_t first = accepted();
    CHECK(first > 0);
    CHECK(stage.run(explain_prompt()).answer().text == explanation);
    CHECK(accepted() > first);
  }
  SUBCASE("until memory is short in the middle of an answer") {
    Generated job;
    Generated completion;
    bool unloaded = false;
    stage.generate(job, explain_prompt());
    while (!job.result) {
      stage.host.run_until([&] { return job.result || accepted() > 0; });
      if (!completion.result) {
        small.completions().generate(completion_prompt(), completing(), events_of(completion));
        stage.finish(completion);
      }
      if (!unloaded) small.obey(daemon::RoomForSmall::Wish::unload);
      unloaded = true;
      stage.host.run_until([&] { return job.result.has_value(); });
    }
    CHECK(job.answer().text == explanation);
    CHECK(completion.answer().text == alone.answer().text);
    wait_for_drafting_by("");
    const std::uint64_t before = stage.model.status().decoded.drafted;
    REQUIRE(before > 0);
    CHECK(stage.run(task_prompt("Name the function.")).answer().answer_tokens > 0);
    small.obey(daemon::RoomForSmall::Wish::load);
    wait_for_drafting_by("ember");
  }
  SUBCASE("for one answer at a time; the other is written without") {
    Generated first;
    Generated urgent;
    stage.generate(first, explain_prompt(), Priority::background);
    stage.host.run_until([&] { return first.result || accepted() > 0; });
    stage.generate(urgent, explain_prompt());
    stage.finish(urgent);
    stage.finish(first);
    CHECK(urgent.answer().text == explanation);
    CHECK(first.answer().text == explanation);
  }
}

TEST_CASE("a small model of other tokens does not draft, and the log says why") {
  auto tokenizer =
      nlohmann::json::parse(daemon::read_file(ember().model / "tokenizer.json", 1 << 26));
  auto& merges = tokenizer["model"]["merges"];
  std::swap(merges[5], merges[6]);
  const ChangedEmber other(nlohmann::json::object(), {{"tokenizer.json", tokenizer.dump()}});
  LocalStage stage;
  stage.load();
  daemon::LocalModel small(stage.host, other.options(), &stage.model);
  bool described = false;
  small.describe([&](const auto&) { described = true; });
  stage.host.run_until([&] { return described; });
  stage.model.draft_with(small.for_drafts());
  CHECK(stage.run(explain_prompt()).answer().text == explanation);
  CHECK(stage.model.status().drafting.empty());
  CHECK(stage.host.logged().find("inline.drafts: ") != std::string::npos);
  CHECK(stage.host.logged().find("its merges are not the other's") != std::string::npos);
}

TEST_CASE("a small model that cannot be loaded leaves its completions to the large one") {
  LocalStage stage;
  engine::EngineOptions options = ember();
  options.model = "/nowhere";
  daemon::LocalModel small(stage.host, options, &stage.model);
  std::string why;
  daemon::CompletionModel completions(
      small, stage.model, [&](const std::string& said) { why = said; },
      [](bool) { return std::string(); });
  bool described = false;
  completions.describe([&](const auto&) { described = true; });
  stage.host.run_until([&] { return described; });
  CHECK(why.find("/nowhere") != std::string::npos);
  Generated completion;
  completions.generate(completion_prompt(), completing(), events_of(completion));
  stage.finish(completion);
  CHECK(completion.answer().text.starts_with("total += item"));
}

TEST_CASE(
    "where memory is short the small model goes, completes again when there is some, and says so") {
  const TemporaryDirectory directory;
  LocalStage stage;
  stage.load();
  int changes = 0;
  daemon::SmallModel small(stage.host, tiny_checkpoint(directory.path()), 1, false, &stage.model,
                           stage.model, [&] { ++changes; });
  const auto describe = [&] {
    std::string name;
    small.completions().describe([&](const lsp::Result<lsp::ModelDescription>& result) {
      name = std::get<lsp::ModelDescription>(result).profile.name;
    });
    stage.host.run_until([&] { return !name.empty(); });
    return name;
  };
  const std::string own_name = describe();
  CHECK(small.serves());
  CHECK(small.refusal().empty());
  CHECK(changes == 0);

  Generated cut;
  small.completions().generate(completion_prompt(), {Priority::inline_completion, 100'000, {}},
                               events_of(cut));
  small.obey(daemon::RoomForSmall::Wish::unload);
  stage.finish(cut);
  CHECK(cut.error().kind == lsp::ModelError::Kind::unavailable);
  CHECK(describe() == "ember");
  CHECK_FALSE(small.serves());
  CHECK(changes == 1);
  CHECK(small.status().memory.dense == 0);
  CHECK(small.refusal() ==
        "inline.model cannot be used: memory is short, and it waits until there "
        "is more; completions come from the other model");
  Generated completion;
  small.completions().generate(completion_prompt(), completing(), events_of(completion));
  stage.finish(completion);
  CHECK(completion.answer().text.starts_with("total += item"));

  small.obey(daemon::RoomForSmall::Wish::load);
  small.obey(daemon::RoomForSmall::Wish::load);
  CHECK(describe() == own_name);
  CHECK(small.serves());
  CHECK(small.refusal().empty());
  CHECK(changes == 2);
  Generated again;
  small.completions().generate(completion_prompt(), completing(), events_of(again));
  stage.finish(again);
  CHECK(again.answer().answer_tokens > 0);
  CHECK(small.status().requests == 1);
}

TEST_CASE("it goes when half of the experts were not enough, and comes back when all are there") {
  using Wish = daemon::RoomForSmall::Wish;
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  const auto look = [](std::uint64_t available, bool is_short, std::uint64_t experts) {
    engine::MemoryLook found;
    found.view.available = available;
    found.is_short = is_short;
    found.experts = experts;
    found.all_experts = 10;
    return found;
  };
  daemon::RoomForSmall room(2 * gib);
  CHECK_FALSE(room.look(look(8 * gib, false, 10)));
  CHECK_FALSE(room.look(look(gib / 2, true, 6)));
  CHECK(room.look(look(gib / 2, true, 5)) == Wish::unload);
  CHECK_FALSE(room.look(look(gib / 2, true, 4)));
  CHECK_FALSE(room.look(look(8 * gib, false, 8)));   // experts are on their way back
  CHECK_FALSE(room.look(look(4 * gib, false, 10)));  // it would be short at once
  CHECK(room.look(look(5 * gib, false, 10)) == Wish::load);
  CHECK_FALSE(room.look(look(8 * gib, false, 10)));
}
