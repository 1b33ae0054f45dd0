// Conversations as they go on: what of them the model is shown where the context is full, and what
// is computed again.
#include "daemon/models/conversation.hpp"

#include <doctest/doctest.h>

#include "daemon/models/render.hpp"
#include "tests/daemon/models/local_stage.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;
using lsp::Priority;
using lsp::Prompt;

namespace {

constexpr std::int64_t small_context = 320;

engine::EngineOptions with_small_context(engine::EngineOptions options) {
  options.context = small_context;
  return options;
}

void answered(Prompt& prompt, const lsp::Answer& answer, std::optional<bool> thinking) {
  prompt.messages.push_back({lsp::Role::assistant,
                             {{answer.text, lsp::Provenance::answer, false}},
                             answer.generated,
                             thinking});
  prompt.messages.push_back(
      {lsp::Role::user,
       {{std::to_string(prompt.messages.size()) +
             ": and what does it do if the list is empty, or if one of the values is text?",
         lsp::Provenance::instruction, false}}});
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("where the context is full the oldest turns go, and then only what is new is computed") {
  const ChangedEmber thinking = thinking_ember();
  const ChangedEmber with_switch = thinking_ember(template_with_switch);
  for (const auto& checkpoint : {ember(), thinking.options(), with_switch.options()}) {
    LocalStage stage(with_small_context(checkpoint));
    Prompt prompt = explain_prompt();
    std::size_t computed_again = 0;
    std::int64_t before = 0;
    constexpr int turns = 16;
    for (int turn = 0; turn < turns; ++turn) {
      CAPTURE(turn);
      Generated outcome;
      stage.model.generate(
          prompt, {Priority::explicit_request, 16, {}, true, 12},
          {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
      stage.finish(outcome);
      const lsp::Answer& answer = outcome.answer();
      CHECK(answer.prompt_tokens + answer.thought_tokens + answer.answer_tokens < small_context);
      CHECK(answer.finish != lsp::FinishReason::context_full);
      const std::int64_t computed = answer.prompt_tokens - answer.cached_tokens;
      if (answer.prompt_tokens >= before) {
        if (turn > 0) CHECK(computed <= 64);  // the question, and the template around it
      } else {
        ++computed_again;
        CHECK(count_of(stage.host.logged(), "left out") == computed_again);
        CHECK(stage.host.logged().find(std::to_string(computed) + " of the " +
                                       std::to_string(answer.prompt_tokens)) != std::string::npos);
      }
      before = answer.prompt_tokens;
      answered(prompt, answer, true);
    }
    // Not at every turn: half of the context was freed.
    CHECK(computed_again >= 2);
    CHECK(computed_again <= turns / 3);
    CHECK(count_of(stage.host.logged(), "left out") == computed_again);
    CHECK(stage.host.logged().find("the context of 320 tokens: its ") != std::string::npos);
  }
}

TEST_CASE("turns go whole, the system line stays, and what cannot be mended is left as it is") {
  const auto runtime = engine::Runtime::load(with_small_context(ember()));
  const engine::Engine& engine = runtime->engine();
  lsp::GenerateOptions options;
  options.max_tokens = 16;
  lsp::Answer answer;
  answer.text = "It would divide by zero, which is an error: there is no average of nothing.";
  Prompt prompt = explain_prompt();
  CHECK(fit_conversation(engine, prompt, options).turns_left_out == 0);
  while (render(engine, prompt).tokens.size() <= small_context) answered(prompt, answer, {});
  const FittedPrompt fitted = fit_conversation(engine, prompt, options);
  CHECK(fitted.turns_left_out > 0);
  REQUIRE(fitted.prompt.messages.size() == prompt.messages.size() - 2 * fitted.turns_left_out);
  CHECK(fitted.prompt.messages.at(0).role == lsp::Role::system);
  CHECK(fitted.prompt.messages.at(1).role == lsp::Role::user);
  CHECK(fitted.prompt.messages.back().role == lsp::Role::user);

  // The prompt that follows begins with all of this one.
  answered(prompt, answer, {});
  const auto next = render(engine, fit_conversation(engine, prompt, options).prompt).tokens;
  const auto before = render(engine, fitted.prompt).tokens;
  REQUIRE(next.size() > before.size());
  CHECK(std::equal(before.begin(), before.end(), next.begin()));

  std::string longest = "Explain";
  for (int i = 0; i < 400; ++i) longest += " value";
  const Prompt one = task_prompt(longest);
  const FittedPrompt unchanged = fit_conversation(engine, one, options);
  CHECK(unchanged.turns_left_out == 0);
  CHECK(lsp::bytes_of(unchanged.prompt) == lsp::bytes_of(one));
  CHECK(fit_conversation(engine, completion_prompt(), options).turns_left_out == 0);
}
