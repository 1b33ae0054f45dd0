// Answers of the embedded checkpoint, end to end: template, tokenizer, layers, sampling, stop
// rules.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include "engine/engine.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

const std::string average =
    "def average(values):\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n";

std::shared_ptr<Runtime> ember() {
  static const std::shared_ptr<Runtime> runtime = [] {
    EngineOptions options;
    options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
    return Runtime::load(options);
  }();
  return runtime;
}

constexpr const char* instruction = "Explain what this code does.";

GenerationRequest explain_request() {
  const Profile& profile = ember()->engine().profile();
  const std::vector<ChatMessage> messages = {
      {"system", profile.system_chat},
      {"user", "File: stats.py (python)\n\n```python\n" + average + "```\n\n" + instruction}};
  GenerationRequest request;
  request.prompt = tokenize(ember()->engine().tokenizer(), render_chat(profile, messages));
  request.stop_ids = profile.chat_stop;
  return request;
}

// The same of a model that thinks, which ember is not: it goes on without closing its thought.
GenerationRequest thinking_request(std::int64_t budget) {
  Profile profile = ember()->engine().profile();
  profile.thinking = true;
  const std::vector<ChatMessage> messages = {
      {"system", profile.system_chat}, {"user", "```python\n" + average + "```\n\n" + instruction}};
  GenerationRequest request;
  request.prompt = tokenize(ember()->engine().tokenizer(), render_chat(profile, messages));
  request.stop_ids = profile.chat_stop;
  request.max_tokens = 8;
  request.thinking = true;
  request.thinking_budget = budget;
  return request;
}

// The tokens of the thought, with what closed it.
std::string thought_of(const Generation& generation) {
  return ember()->engine().tokenizer().decode(
      std::span(generation.answer()).first(generation.thought_tokens()));
}

std::string run(Generation& generation) {
  std::string text;
  while (generation.step(nullptr) != Progress::done) text += generation.take_text();
  return text + generation.take_text();
}

const std::string explanation =
    "Computes the average of the values: it adds them up and divides the total by their number.";

}  // namespace

TEST_CASE("the embedded checkpoint explains a function") {
  Session session(ember());
  Generation generation(session, explain_request());
  CHECK(run(generation) == explanation);
  CHECK(generation.reason() == StopReason::stop_token);
  CHECK(generation.cached_tokens() == 0);
}

TEST_CASE("the embedded checkpoint fills in the middle, and typing on re-uses the prompt") {
  const Profile& profile = ember()->engine().profile();
  Session session(ember());
  const auto complete = [&](const std::string& prefix) {
    GenerationRequest request;
    request.prompt = tokenize(
        ember()->engine().tokenizer(),
        render_fim(profile, prefix, "\n\n\ndef remove_config(path):\n    os.remove(path)\n"));
    request.stop_ids = profile.fim_stop;
    Generation generation(session, std::move(request));
    const std::string text = run(generation);
    return std::pair(text, generation.prompt_tokens() - generation.cached_tokens());
  };
  const std::string prefix =
      "import json\n\n\ndef load_config(path, default=None):\n    \"\"\"Read the configuration "
      "file.\"\"\"\n"
      "    if not os.path.exists(path):\n        return default\n    with open(path) as handle:\n"
      "        return json.load(handle)\n\n\ndef save_config(path, config):\n"
      "    with open(path, \"w\") as handle:\n        ";
  const auto [first, computed_first] = complete(prefix);
  CHECK(first == "json.dump(config, handle, indent=2)\n");
  const auto [second, computed_second] = complete(prefix + "json.");
  CHECK(!second.empty());
  CHECK(computed_second <= 32);
  CHECK(computed_first > 100);
}

TEST_CASE("the same request again computes no prompt token") {
  Session session(ember());
  Generation first(session, explain_request());
  run(first);
  Generation second(session, explain_request());
  CHECK(run(second) == explanation);
  CHECK(second.cached_tokens() == second.prompt_tokens());
}

TEST_CASE("draft tokens and shortlisted logits change no answer; drafts save passes") {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  options.drafts = 0;
  options.shortlist = ShortlistUse::off;
  const auto plain = Runtime::load(options);
  options.drafts = 5;
  options.shortlist = ShortlistUse::always;
  const auto shortlist = Runtime::load(options);
  REQUIRE(shortlist->engine().has_shortlist());
  REQUIRE_FALSE(plain->engine().has_shortlist());
  std::uint64_t passes = 0;
  std::size_t tokens = 0;
  for (const float temperature : {0.0F, 0.9F}) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      GenerationRequest request = explain_request();
      if (seed == 2) {  // raw code that repeats itself
        request.prompt.tokens =
            ember()->engine().tokenizer().encode(average + "\n\n" + average + "\n\n");
        request.prompt.boundaries.clear();
      }
      request.sampling.temperature = temperature;
      request.sampling.repetition_penalty = seed == 3 ? 1.1F : 1.0F;
      request.sampling.presence_penalty = seed == 1 ? 0.5F : 0.0F;
      request.sampling.frequency_penalty = seed == 2 ? 0.3F : 0.0F;
      request.sampling.top_k = seed == 2 ? 20 : 3;
      request.sampling.bias = {{7, 1.5F}};
      request.sampling.seed = seed;
      request.max_tokens = 60;
      Session one(plain);
      Generation alone(one, request);
      const std::string expected = run(alone);
      CHECK(alone.counts().passes + 1 >= alone.answer_tokens());
      Session other(ember());
      Generation speculative(other, request);
      CHECK(run(speculative) == expected);
      CHECK(speculative.answer() == alone.answer());
      CHECK(speculative.reason() == alone.reason());
      CHECK(one.tokens() == other.tokens());
      CHECK(std::ranges::equal(one.logits(), other.logits()));
      Session third(shortlist);
      Generation shortlisted(third, request);
      CHECK(run(shortlisted) == expected);
      CHECK(shortlisted.answer() == alone.answer());
      CHECK(third.tokens() == one.tokens());
      CHECK(alone.counts().drafted == 0);
      const DecodeCounts& counts = speculative.counts();
      CHECK(counts.accepted <= counts.drafted);
      CHECK(counts.tokens == counts.passes + counts.accepted);
      CHECK(counts.tokens + 1 >= speculative.answer_tokens());
      passes += counts.passes;
      tokens += speculative.answer_tokens();
    }
  }
  CHECK(passes < tokens);
}

TEST_CASE("an answer that is bound to a form is of it, and drafts change nothing of it") {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  options.drafts = 0;
  const auto plain = Runtime::load(options);
  const std::string schema =
      R"({"type": "object", "properties": {"even": {"type": "boolean"}, "list": {"type": "array",
      "items": {"enum": ["value", "total"]}}, "what": {"type": "string"}},
      "required": ["even", "list", "what"]})";
  const auto form = JsonForm::parse(schema);
  const auto call = JsonForm::parse_answer(
      R"({"$calls": {"several": true, "tools": [{"name": "look", "parameters": )" + schema +
      "}]}}");
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5, 6, 7}) {
    GenerationRequest request = explain_request();
    request.form = seed % 2 == 0 ? form : call;
    request.max_tokens = 200;
    request.sampling.temperature = seed == 0 ? 0.0F : 1.0F;
    request.sampling.top_k = seed == 2 || seed == 3 ? 5 : 0;
    request.sampling.seed = seed;
    Session one(plain);
    Generation alone(one, request);
    const std::string text = run(alone);
    CAPTURE(text);
    JsonCursor cursor(request.form);
    CHECK(cursor.push(text));
    if (alone.reason() == StopReason::stop_token) CHECK(cursor.complete());
    Session other(ember());
    Generation speculative(other, request);
    CHECK(run(speculative) == text);
    CHECK(speculative.answer() == alone.answer());
    // What was written before is of it, too, and goes on to the same end.
    request.written.assign(alone.answer().begin(), alone.answer().begin() + 5);
    Session third(ember());
    Generation resumed(third, request);
    CHECK(run(resumed) == text);
  }
  GenerationRequest request = explain_request();
  request.form = form;
  request.written = ember()->engine().tokenizer().encode("Computes");
  Session session(ember());
  CHECK_THROWS_WITH_AS(Generation(session, request),
                       "the answer is not of the JSON form that it is bound to", Error);
}

TEST_CASE("each token of an answer is told with how likely it was") {
  GenerationRequest request = explain_request();
  request.top_probabilities = 3;
  Session session(ember());
  Generation generation(session, request);
  CHECK(run(generation) == explanation);
  const auto told = generation.take_probabilities();
  REQUIRE(told.size() == generation.answer().size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    CHECK(told[i].token == generation.answer()[i]);
    REQUIRE(told[i].top.size() == 3);
    CHECK(told[i].top[0].first == told[i].token);  // the likeliest was taken
    CHECK(told[i].top[0].second == told[i].logprob);
    CHECK(told[i].top[1].second <= told[i].logprob);
    CHECK(told[i].logprob <= 0);
  }
}

TEST_CASE("an answer and its thought end at the most tokens of both") {
  Session session(ember());
  GenerationRequest request = thinking_request(100);
  request.max_tokens = 50;
  request.max_all_tokens = 20;
  Generation generation(session, request);
  CHECK(run(generation).empty());
  CHECK(generation.answer().size() == 20);
  CHECK(generation.reason() == StopReason::max_tokens);
}

TEST_CASE("an answer ends at max_tokens") {
  Session session(ember());
  GenerationRequest request = explain_request();
  request.max_tokens = 5;
  Generation generation(session, std::move(request));
  const std::string text = run(generation);
  CHECK(generation.reason() == StopReason::max_tokens);
  CHECK(generation.answer_tokens() == 5);
  CHECK(explanation.starts_with(text));
}

TEST_CASE("a thought that outlasts its budget is closed, and an answer follows") {
  for (const std::int64_t budget : {0, 1, 12}) {
    CAPTURE(budget);
    Session session(ember());
    Generation generation(session, thinking_request(budget));
    CHECK(generation.thinking());
    const std::string text = run(generation);
    CHECK_FALSE(generation.thinking());
    CHECK(generation.thought_cut() == (budget > 0));
    CHECK(thought_of(generation).ends_with("</think>\n\n"));
    CHECK(thought_of(generation).starts_with(generation.take_thought() + "</think>"));
    const auto closing = end_of_thought(ember()->engine().tokenizer(), true).size();
    const auto thought = static_cast<std::int64_t>(generation.thought_tokens());
    CHECK(thought > budget);
    CHECK(thought <= budget + static_cast<std::int64_t>(closing));
    CHECK(generation.answer_tokens() > 0);
    CHECK(generation.answer_tokens() <= 8);
    CHECK_FALSE(text.empty());
    CHECK(text.find("think>") == std::string::npos);
  }
}

TEST_CASE("drafts change neither a thought nor what closes it") {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  options.drafts = 0;
  const auto plain = Runtime::load(options);
  Session speculating(ember());
  Session alone(plain);
  Generation speculative(speculating, thinking_request(40));
  Generation expected(alone, thinking_request(40));
  CHECK(run(speculative) == run(expected));
  CHECK(speculative.answer() == expected.answer());
}

TEST_CASE("where the model would stop in its thought, the thought is closed") {
  Session session(ember());
  Generation first(session, thinking_request(12));
  run(first);
  GenerationRequest request = thinking_request(100);
  const TokenId stop = first.answer().at(5);
  request.stop_ids = {stop};
  Generation generation(session, std::move(request));
  const std::string text = run(generation);
  CHECK_FALSE(generation.thought_cut());
  CHECK(thought_of(generation).ends_with("</think>\n\n"));
  CHECK(generation.thought_tokens() < 12);
  const auto thought = std::span(generation.answer()).first(generation.thought_tokens());
  CHECK(std::ranges::find(thought, stop) == thought.end());
  CHECK(generation.reason() != std::nullopt);
}

TEST_CASE("a thought that the model closes is not closed again") {
  Session session(ember());
  GenerationRequest request = thinking_request(12);
  request.sampling.bias[ember()->engine().tokenizer().special("</think>").value()] = 1000;
  request.max_tokens = 3;
  Generation generation(session, std::move(request));
  CHECK(run(generation) == "</think></think></think>");
  CHECK(generation.thought_tokens() == 1);
  CHECK(generation.answer_tokens() == 3);
  CHECK_FALSE(generation.thought_cut());
}

TEST_CASE("a thought leaves an answer its room in a small context") {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  GenerationRequest request = thinking_request(std::int64_t{1} << 17);
  const std::size_t prompt = request.prompt.tokens.size();
  options.context = static_cast<std::int64_t>(prompt) + 40;
  request.max_tokens = 512;
  request.stop_ids.clear();
  Session session(Runtime::load(options));
  Generation generation(session, std::move(request));
  const std::string text = run(generation);
  CHECK(generation.thought_cut());
  CHECK(generation.thought_tokens() <= 20);
  CHECK(generation.answer_tokens() == 40 - generation.thought_tokens());
  CHECK(generation.reason() == StopReason::context_full);
  CHECK_FALSE(text.empty());
}

TEST_CASE("an answer ends before a stop string, also across token borders") {
  Session session(ember());
  GenerationRequest request = explain_request();
  request.stop_strings = {"and divides the tot"};
  Generation generation(session, std::move(request));
  CHECK(run(generation) == "Computes the average of the values: it adds them up ");
  CHECK(generation.reason() == StopReason::stop_string);
}

TEST_CASE("an interrupted answer goes on where it was") {
  Session session(ember());
  Generation generation(session, explain_request());
  std::atomic<bool> interrupt = false;
  std::string text;
  std::size_t steps = 0;
  for (Progress progress = Progress::more; progress != Progress::done; ++steps) {
    interrupt = steps % 3 == 0;
    progress = generation.step(&interrupt);
    text += generation.take_text();
  }
  CHECK(text == explanation);
}

TEST_CASE("two answers take turns on one engine") {
  Session one(ember());
  Session two(ember());
  Generation first(one, explain_request());
  Generation second(two, explain_request());
  std::string texts[2];
  bool running = true;
  while (running) {
    running = first.step(nullptr) != Progress::done;
    running = second.step(nullptr) != Progress::done || running;
    texts[0] += first.take_text();
    texts[1] += second.take_text();
  }
  CHECK(texts[0] == explanation);
  CHECK(texts[1] == explanation);
}

TEST_CASE("a seed decides a sampled answer") {
  const auto sampled = [](std::uint64_t seed) {
    Session session(ember());
    GenerationRequest request = explain_request();
    request.sampling.temperature = 3;
    request.sampling.seed = seed;
    request.max_tokens = 12;
    Generation generation(session, std::move(request));
    return run(generation);
  };
  CHECK(sampled(1) == sampled(1));
  CHECK(sampled(1) != sampled(2));
}

TEST_CASE("a prompt that does not fit is refused in words") {
  Session session(ember());
  GenerationRequest request;
  request.prompt.tokens.assign(5000, 100);
  CHECK_THROWS_WITH_AS(Generation(session, request),
                       "the prompt has 5000 tokens; the context holds 2048, the answer included",
                       Error);
  request.prompt.tokens.clear();
  CHECK_THROWS_WITH_AS(Generation(session, request), "the prompt is empty", Error);
  request.prompt.tokens = {-4};
  CHECK_THROWS_AS(Generation(session, request), Error);
}

}  // namespace hearth::tests
