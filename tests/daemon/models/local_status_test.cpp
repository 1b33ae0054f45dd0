// What is shown of the local engine: its numerics, speeds and speculation, the times of jobs, and
// why it does not work.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/commands/bench_copy.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/models/local.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/status.hpp"
#include "kernels/cpu/gemm/choice.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;
using lsp::Prompt;

namespace {

// What `hearth status` shows of a model, in a daemon that runs for so many seconds.
std::string shown(const ModelStatus& status, int up = 1) {
  return show_status({{"pid", 1},
                      {"build", "test"},
                      {"uptimeSeconds", up},
                      {"clients", nlohmann::json::array()},
                      {"jobs", nlohmann::json::array()},
                      {"log", ""},
                      {"config", ""},
                      {"model", to_json(status)}},
                     1'000);
}

}  // namespace

TEST_CASE("status and bench say where another definition than the plain one is followed") {
  const std::string note = "numerics gemm bf16x3: reading prompts differs in bits from gemm f32";
  std::uint64_t other = 0;
  {
    const kernels::cpu::ForcedChoice forced(
        {&kernels::cpu::scalar_gemm, "bf16x3", "as if in parts"});
    LocalStage stage;
    stage.load();
    CHECK(shown(stage.model.status()).find(note) != std::string::npos);
    const auto runtime = engine::Runtime::load(ember());
    CHECK(show_engine(runtime->engine()) == runtime->engine().description() + "\n  " + note + "\n");
    other = runtime->engine().fingerprint();
  }
  engine::EngineOptions options = ember();
  options.host().isa = kernels::Isa::scalar;
  LocalStage stage(options);
  stage.load();
  CHECK(shown(stage.model.status()).find("numerics") == std::string::npos);
  const auto runtime = engine::Runtime::load(options);
  CHECK(show_engine(runtime->engine()) == runtime->engine().description() + "\n");
  CHECK(runtime->engine().fingerprint() != other);
}

TEST_CASE("status says since when the daemon runs, also in its first second") {
  CHECK(shown({}, 0).find("process 1, hearth test, just started\n") != std::string::npos);
  CHECK(shown({}, 1).find("process 1, hearth test, up 1.0 s\n") != std::string::npos);
}

TEST_CASE("what is done between two steps is a part of what a token takes") {
  engine::EngineOptions options = ember();
  options.drafts = 0;  // a token a step
  LocalStage stage(options);
  stage.load();
  constexpr std::chrono::milliseconds between{20};
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] { std::this_thread::sleep_for(between); };
  Generated outcome;
  stage.generate(outcome, explain_prompt());
  stage.finish(outcome);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(*stage.model.status().decode_speed < 1000.0 / between.count());
}

TEST_CASE("what was measured is known to the next daemon, unless it is damaged") {
  const tests::TemporaryDirectory state;
  engine::EngineOptions options = ember();
  options.experts.history = state.path();
  const auto usual = [](LocalStage& stage) {
    stage.load();
    return stage.model.usual_time(Prompt::Kind::chat, 100, {});
  };
  {
    LocalStage stage(options);
    CHECK_FALSE(usual(stage));
    stage.run(explain_prompt());
  }
  {
    LocalStage stage(options);
    CHECK(usual(stage));
  }
  write_file(state.path() / "estimates.json", "{");
  LocalStage stage(options);
  CHECK_FALSE(usual(stage));
}

TEST_CASE("what was measured is on the disk before the daemon ends") {
  const tests::TemporaryDirectory state;
  engine::EngineOptions options = ember();
  options.experts.history = state.path();
  LocalStage stage(options);
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

TEST_CASE("the status tells what speculation did, and none is made where it is off") {
  const std::filesystem::path model = HEARTH_SOURCE_DIR "/engine/ember";
  Config config;
  for (const Speculation speculate :
       {Speculation::automatic, Speculation::copy, Speculation::mtp, Speculation::off}) {
    CAPTURE(static_cast<int>(speculate));
    config.decode_speculate = speculate;
    LocalStage stage(engine_options(config, model, {}));
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

TEST_CASE("a checkpoint that cannot be loaded fails everything that is asked, with the reason") {
  const tests::TemporaryDirectory empty;
  engine::EngineOptions options;
  options.model = empty.path();
  LocalStage stage(options);
  Generated early;
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
  LocalStage stage(options);
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
