// What is asked of the engine for a request of the language server: prompts, sampling, where it
// ends.
#include "daemon/models/render.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/daemon/models/local_stage.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

std::string decoded(const engine::Engine& engine, const engine::GenerationRequest& request) {
  return engine.tokenizer().decode(request.prompt.tokens, true);
}

nlohmann::json completions_as_chat() {
  nlohmann::json profile;
  profile["fim_order"] = "chat";
  return profile;
}

}  // namespace

TEST_CASE("what to draw with is the checkpoint's word, else what is published for its family") {
  const auto sampling = [](const ChangedEmber& checkpoint, std::optional<bool> thinking,
                           lsp::Sampling how = lsp::Sampling::recommended,
                           std::int64_t budget = 100) {
    const auto runtime = engine::Runtime::load(checkpoint.options());
    lsp::GenerateOptions options;
    options.thinking = thinking;
    options.thinking_budget = budget;
    options.sampling = how;
    options.sampling_choice.top_k = 7;
    const auto request = make_request(runtime->engine(), explain_prompt(), options);
    CHECK(request.sampling.top_k == 7);  // what a person chose, over all else
    return request.sampling;
  };
  nlohmann::json thinks;
  thinks["thinking"] = true;
  const std::string eos = R"({"eos_token_id": [4072, 4070])";
  const ChangedEmber silent(thinks, {{"chat_template.jinja", template_with_switch},
                                     {"generation_config.json", eos + "}"}});
  const engine::SamplingParams on = sampling(silent, true);
  CHECK(on.temperature == 1.0f);
  CHECK(on.top_p == 0.95f);
  CHECK(on.presence_penalty == 0);
  CHECK(sampling(silent, {}).temperature == 1.0f);  // it thinks unless it is told not to
  const engine::SamplingParams off = sampling(silent, false);
  CHECK(off.temperature == 0.7f);
  CHECK(off.top_p == 0.8f);
  CHECK(off.presence_penalty == 1.5f);
  CHECK(sampling(silent, true, lsp::Sampling::recommended, 0).temperature == 0.7f);
  CHECK(sampling(silent, true, lsp::Sampling::greedy).temperature == 0);
  CHECK(sampling(silent, true, lsp::Sampling::greedy).presence_penalty == 0);

  const ChangedEmber says(thinks,
                          {{"chat_template.jinja", template_with_switch},
                           {"generation_config.json",
                            eos + R"(, "do_sample": true, "temperature": 0.5, "top_p": 0.6})"}});
  for (const bool thinking : {true, false}) {
    CHECK(sampling(says, thinking).temperature == 0.5f);
    CHECK(sampling(says, thinking).top_p == 0.6f);
    CHECK(sampling(says, thinking).presence_penalty == 0);
  }
  // Of other families nothing is published here: greedy.
  const ChangedEmber plain(nlohmann::json::object(), {{"generation_config.json", eos + "}"}});
  CHECK(sampling(plain, {}).temperature == 0);
}

TEST_CASE("a completion as a chat turn begins its answer where the cursor is") {
  const ChangedEmber checkpoint(completions_as_chat());
  const auto runtime = engine::Runtime::load(checkpoint.options());
  lsp::GenerateOptions options;
  options.stop_strings = {"\n"};
  const auto request = make_request(runtime->engine(), completion_prompt(), options);
  const std::string text = decoded(runtime->engine(), request);
  CHECK(text.ends_with("\n```<|im_end|>\n<|im_start|>assistant\n```\n        "));
  CHECK(text.find("Before it:\n```\ndef total_price(items):\n    total = 0\n") !=
        std::string::npos);
  CHECK(text.find("<|fim_") == std::string::npos);
  CHECK(request.stop_ids == runtime->engine().profile().chat_stop);
  CHECK(request.stop_strings == std::vector<std::string>{"\n", "\n```", "```"});
  CHECK_FALSE(request.thinking);
  // It is read in this order at each keystroke.
  CHECK(describe(runtime->engine()).profile.fim_order == lsp::FimOrder::prefix_first);
}

TEST_CASE("a completion as a chat turn has no thought, and what is typed on reads little again") {
  nlohmann::json profile = completions_as_chat();
  profile["thinking"] = true;
  const ChangedEmber checkpoint(profile, {{"chat_template.jinja", template_with_switch}});
  LocalStage stage(checkpoint.options());
  const Generated outcome = stage.run(completion_prompt());
  CHECK(outcome.answer().thought_tokens == 0);
  CHECK(outcome.answer().thought.empty());
  CHECK(outcome.answer().text.find("```") == std::string::npos);
  lsp::Prompt typed = completion_prompt();
  typed.prefix.front().text += "to";
  const lsp::Answer next = stage.run(typed).answer();
  CHECK(next.cached_tokens > next.prompt_tokens / 2);
}
