// Answers that go on where a killed, paused or restarted process left them: with the tokens, the
// text and the bits of an unbroken run.
#include <doctest/doctest.h>

#include <string>

#include "tests/engine/resume_runs.hpp"

namespace hearth::tests {

using namespace engine;

namespace {

// Goes on behind every beginning of the answer.
void check_every_cut(const std::shared_ptr<Runtime>& runtime, const GenerationRequest& request) {
  const Run whole = run(runtime, request);
  REQUIRE(whole.tokens.size() > 3);
  for (std::size_t count = 0; count <= whole.tokens.size(); ++count) {
    CAPTURE(count);
    Run resumed = run(runtime, behind(request, whole, count));
    const bool at_once = count == whole.tokens.size() && whole.reason != StopReason::stop_token;
    if (at_once) resumed.logits = whole.logits;  // nothing is computed
    CHECK(resumed == whole);
    CHECK(resumed.counts.replayed < count + 1);
  }
}

}  // namespace

TEST_CASE("an answer goes on behind any beginning of it, drawn or not, with drafts or without") {
  for (const std::size_t drafts : {0, 5}) {
    EngineOptions options = resumed_ember();
    options.drafts = drafts;
    const auto runtime = Runtime::load(options);
    for (const float temperature : {0.0F, 0.9F, 3.0F}) {
      CAPTURE(temperature);
      GenerationRequest request = explain_request(runtime->engine());
      request.sampling.temperature = temperature;
      request.sampling.seed = 7;
      request.sampling.repetition_penalty = temperature == 0.0F ? 1.0F : 1.1F;
      request.sampling.presence_penalty = temperature == 0.0F ? 0.0F : 0.3F;
      check_every_cut(runtime, request);
    }
  }
}

TEST_CASE("an answer of which nothing is kept is computed again from the prompt on") {
  EngineOptions options = resumed_ember();
  options.prefix_ram_bytes = 0;
  const auto runtime = Runtime::load(options);
  const GenerationRequest request = explain_request(runtime->engine());
  const Run whole = run(runtime, request);
  const Run resumed = run(runtime, behind(request, whole, 9));
  CHECK(resumed == whole);
  CHECK(resumed.cached == 0);
  CHECK(resumed.counts.replayed == 8);
}

TEST_CASE("an answer that copies its prompt goes on as it would have") {
  const auto runtime = Runtime::load(resumed_ember());
  GenerationRequest request = explain_request(runtime->engine());
  const std::string code = "def total(items):\n    result = 0\n    for item in items:\n";
  request.prompt.tokens = runtime->engine().tokenizer().encode(code + "\n\n" + code + "\n\n");
  request.prompt.boundaries.clear();
  const Run whole = run(runtime, request);
  CHECK(whole.counts.drafted > 0);
  check_every_cut(runtime, request);
}

TEST_CASE("an answer goes on inside a character that is not whole") {
  const auto runtime = Runtime::load(resumed_ember());
  GenerationRequest request = explain_request(runtime->engine());
  const Tokens character = runtime->engine().tokenizer().encode("\xe2\x82\xac");
  REQUIRE(character.size() == 3);
  // Each of its bytes is only likely behind the one before: a penalty takes them in turn.
  for (std::size_t i = 0; i < character.size(); ++i)
    request.sampling.bias[character[i]] = 300.0F - 30.0F * static_cast<float>(i);
  request.sampling.presence_penalty = 100;
  request.max_tokens = 5;
  const Run whole = run(runtime, request);
  REQUIRE(Tokens(whole.tokens.begin(), whole.tokens.begin() + 3) == character);
  CHECK(whole.text.starts_with("\xe2\x82\xac"));
  CHECK(whole.visible[1] == 0);
  check_every_cut(runtime, request);
}

TEST_CASE("an answer goes on inside what may be a stop string, and ends with it") {
  const auto runtime = Runtime::load(resumed_ember());
  GenerationRequest request = explain_request(runtime->engine());
  request.stop_strings = {"values: it ad", "average of the medians"};
  const Run whole = run(runtime, request);
  CHECK(whole.reason == StopReason::stop_string);
  CHECK(whole.visible[whole.visible.size() - 2] == whole.text.size());
  check_every_cut(runtime, request);
}

TEST_CASE("an answer goes on inside its thought and inside what closes that") {
  EngineOptions options = resumed_ember();
  const auto runtime = Runtime::load(options);
  GenerationRequest request = explain_request(runtime->engine(), true);
  request.max_tokens = 8;
  SUBCASE("at the budget") {
    for (const std::int64_t budget : {0, 1, 12}) {
      request.thinking_budget = budget;
      CHECK(run(runtime, request).thought_cut == (budget > 0));  // of none, nothing is cut
      check_every_cut(runtime, request);
    }
  }
  SUBCASE("where the model would have stopped") {
    request.thinking_budget = 12;
    const Run first = run(runtime, request);
    request.thinking_budget = 100;
    request.stop_ids = {first.tokens.at(5)};
    const Run whole = run(runtime, request);
    CHECK_FALSE(whole.thought_cut);
    CHECK(whole.thought < 12);
    check_every_cut(runtime, request);
  }
  SUBCASE("where the model writes what would have closed it") {
    const Tokens closing = end_of_thought(runtime->engine().tokenizer(), true);
    const TokenId line_break = closing.front();
    request.thinking_budget = 20;
    request.sampling.bias[line_break] = 300;
    request.sampling.bias[closing.at(1)] = 270;
    request.sampling.presence_penalty = 100;
    const Run whole = run(runtime, request);
    REQUIRE(whole.tokens.at(0) == line_break);
    REQUIRE(whole.tokens.at(1) == closing.at(1));
    check_every_cut(runtime, request);
  }
}

TEST_CASE("line breaks behind a thought count alike, whoever closed it") {
  const auto runtime = Runtime::load(resumed_ember());
  const Tokens closing = end_of_thought(runtime->engine().tokenizer(), false);
  REQUIRE(closing.size() == 2);
  GenerationRequest request = explain_request(runtime->engine(), true);
  request.max_tokens = 4;
  request.thinking_budget = 20;
  request.sampling.bias[closing[0]] = 300;
  request.sampling.bias[closing[1]] = 270;
  request.sampling.presence_penalty = 100;
  const Run own = run(runtime, request);
  REQUIRE(Tokens(own.tokens.begin(), own.tokens.begin() + 2) == closing);
  CHECK(own.thought == 2);
  CHECK(own.tokens.size() == 6);
}

TEST_CASE("what cannot be the beginning of an answer is refused in words") {
  const auto runtime = Runtime::load(resumed_ember());
  GenerationRequest request = explain_request(runtime->engine());
  request.max_tokens = 5;
  const Run whole = run(runtime, request);
  const auto refused = [&](const Tokens& written, const char* why) {
    GenerationRequest wrong = request;
    wrong.written = written;
    Session session(runtime);
    CHECK_THROWS_WITH_AS(Generation(session, wrong), why, Error);
  };
  Tokens longer = whole.tokens;
  longer.push_back(longer.front());
  refused(longer, "6 tokens were written before, but the answer ends with the first 5");
  refused({whole.tokens[0], 1 << 30}, "token 1073741824 is outside the model's vocabulary");
  refused({-1}, "token -1 is outside the model's vocabulary");
  refused({whole.tokens[0], request.stop_ids.front()},
          "token 1 of what was written before is not what this request writes there");
  request = explain_request(runtime->engine(), true);
  request.thinking_budget = 1;
  refused({whole.tokens[0], whole.tokens[0]},
          "token 1 of what was written before is not what this request writes there");
}

}  // namespace hearth::tests
