// What one end of a control connection writes of a generation, the other reads.
#include "daemon/transport/generation_json.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "lsp/protocol/json.hpp"

using namespace hearth;
using namespace hearth::daemon;
using nlohmann::json;

namespace {

json sent(const json& value) {
  return json::parse(value.dump());
}

}  // namespace

TEST_CASE("options, progress and an answer come out as they went in") {
  lsp::GenerateOptions options;
  options.max_tokens = 17;
  options.thinking_budget = 0;
  options.sampling = lsp::Sampling::recommended;
  options.sampling_choice = {0.3F, 0, 0.95F};
  options.seed = 9;
  options.stop_strings = {"\n\n", "é"};
  const lsp::GenerateOptions read = read_options(sent(to_json(options)));
  CHECK(to_json(read) == to_json(options));
  CHECK(read.sampling_choice.temperature == 0.3F);
  CHECK(read.sampling_choice.top_k == 0);
  CHECK_FALSE(read.thinking);
  for (const bool thinking : {true, false}) {
    options.thinking = thinking;
    CHECK(read_options(sent(to_json(options))).thinking == thinking);
  }
  CHECK_THROWS_WITH_AS(read_options({{"thinking", "on"}}), "\"thinking\" is neither true nor false",
                       lsp::InvalidParams);
  CHECK(to_json(read_options(json::object())) == to_json(lsp::GenerateOptions()));

  lsp::GenerationProgress progress;
  progress.phase = lsp::GenerationProgress::Phase::thinking;
  progress.prompt_tokens = 7;
  progress.prompt_done = 3.5;
  progress.ahead = 2;
  progress.first_token = std::chrono::milliseconds(40);
  progress.eta = std::chrono::milliseconds(900);
  CHECK(to_json(read_progress(sent(to_json(progress)))) == to_json(progress));
  CHECK(read_progress(sent(to_json(progress))).ahead == 2);
  CHECK_FALSE(read_progress(sent(to_json(lsp::GenerationProgress()))).eta);

  lsp::Answer answer;
  answer.finish = lsp::FinishReason::context_full;
  answer.prompt_tokens = 5;
  answer.thought_cut = true;
  answer.thought = "it is a loop";
  answer.answer_time = std::chrono::milliseconds(12);
  answer.generated = {1, 2, 3};
  CHECK(to_json(read_answer(sent(to_json(answer)))) == to_json(answer));
  CHECK_THROWS_WITH_AS(read_answer({{"finish", "stop"}}), "\"promptTokens\" is missing",
                       lsp::InvalidParams);
}
