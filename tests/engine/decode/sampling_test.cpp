// Sampling: each processor by itself, their order, and that chance depends on (seed, position)
// only.
#include "engine/decode/sampling.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <set>

#include "tests/engine/files.hpp"

namespace hearth::engine {
namespace {

using Logits = std::vector<float>;
using Ids = std::vector<TokenId>;

TokenId greedy(Logits logits, SamplingParams params = {}, const Ids& context = {},
               std::size_t answer_begin = 0) {
  return sample(logits, params, context, answer_begin, context.size());
}

// The tokens that come up in many draws.
std::set<TokenId> drawn(const Logits& logits, const SamplingParams& params) {
  std::set<TokenId> ids;
  for (std::uint64_t position = 0; position < 2000; ++position) {
    Logits copy = logits;
    ids.insert(sample(copy, params, {}, 0, position));
  }
  return ids;
}

// Logits of these probabilities.
Logits of_probabilities(const std::vector<double>& probabilities) {
  Logits logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST_CASE("greedy takes the highest logit, of equal ones the first") {
  CHECK(greedy({0.5f, 2.0f, 2.0f, -1.0f}) == 1);
  CHECK(greedy({-INFINITY, -3.0f}) == 1);
}

TEST_CASE("a repetition penalty divides what is positive and multiplies what is negative") {
  SamplingParams params;
  params.repetition_penalty = 2;
  Logits logits{4.0f, -1.0f, 1.0f, 0.0f};
  const Ids context{0, 1, 1, 0};
  CHECK(sample(logits, params, context, 4, 4) == 0);
  CHECK(logits == Logits{2.0f, -2.0f, 1.0f, 0.0f});
}

TEST_CASE("a presence penalty looks at the answer only, and once") {
  SamplingParams params;
  params.presence_penalty = 1.5f;
  Logits logits{4.0f, 3.0f, 3.0f};
  const Ids context{0, 1, 1};
  CHECK(sample(logits, params, context, 1, 3) == 0);
  CHECK(logits == Logits{4.0f, 1.5f, 3.0f});
}

TEST_CASE("a frequency penalty counts each time that the answer has a token") {
  SamplingParams params;
  params.frequency_penalty = 1.5f;
  Logits logits{4.0f, 6.0f, 3.0f};
  const Ids context{0, 1, 1};
  CHECK(sample(logits, params, context, 1, 3) == 0);
  CHECK(logits == Logits{4.0f, 3.0f, 3.0f});
}

TEST_CASE("the order is repetition, presence, bias") {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.presence_penalty = 1;
  params.bias[0] = 0.5f;
  Logits logits{4.0f};
  const Ids context{0};
  sample(logits, params, context, 0, 1);
  CHECK(logits == Logits{1.5f});  // 4 / 2 − 1 + 0.5
}

TEST_CASE("temperature sharpens and flattens") {
  SamplingParams params;
  params.temperature = 0.01f;
  CHECK(drawn({1.0f, 2.0f, 1.5f}, params) == std::set<TokenId>{1});
  params.temperature = 1e-30f;
  CHECK(drawn({1.0f, 2.0f, 1.5f}, params) == std::set<TokenId>{1});
  params.temperature = 100;
  CHECK(drawn({1.0f, 2.0f, 1.5f}, params) == std::set<TokenId>{0, 1, 2});
}

TEST_CASE("top-k keeps the k highest and what ties with the last") {
  SamplingParams params;
  params.temperature = 1;
  params.top_k = 2;
  CHECK(drawn({1.0f, 1.2f, 0.9f, 1.1f}, params) == std::set<TokenId>{1, 3});
  CHECK(drawn({1.0f, 1.2f, 1.0f, 0.5f}, params) == std::set<TokenId>{0, 1, 2});
  params.top_k = 50;
  CHECK(drawn({1.0f, 1.2f, 1.0f, 0.9f}, params).size() == 4);
}

TEST_CASE("top-p keeps the fewest whose mass reaches p, at least one") {
  SamplingParams params;
  params.temperature = 1;
  const Logits logits = of_probabilities({0.1, 0.45, 0.15, 0.3});
  params.top_p = 0.7f;
  CHECK(drawn(logits, params) == std::set<TokenId>{1, 3});
  params.top_p = 0.8f;
  CHECK(drawn(logits, params) == std::set<TokenId>{1, 2, 3});
  params.top_p = 0.0f;
  CHECK(drawn(logits, params) == std::set<TokenId>{1});
}

TEST_CASE("top-p counts the mass that top-k left") {
  SamplingParams params;
  params.temperature = 1;
  params.top_k = 2;
  params.top_p = 0.65f;
  // Of 0.4 and 0.2 the first has two thirds; of everything it has less than half.
  CHECK(drawn(of_probabilities({0.4, 0.2, 0.2001, 0.1999}), params) == std::set<TokenId>{0});
}

TEST_CASE("min-p is relative to the likeliest") {
  SamplingParams params;
  params.temperature = 1;
  params.min_p = 0.5f;
  CHECK(drawn(of_probabilities({0.4, 0.25, 0.19, 0.16}), params) == std::set<TokenId>{0, 1});
  params.min_p = 1;
  CHECK(drawn(of_probabilities({0.4, 0.25, 0.19, 0.16}), params) == std::set<TokenId>{0});
}

TEST_CASE("draws follow the probabilities") {
  SamplingParams params;
  params.temperature = 1;
  params.seed = 42;
  const std::vector<double> probabilities{0.5, 0.2, 0.3};
  std::array<double, 3> counts{};
  constexpr int draws = 20'000;
  for (std::uint64_t position = 0; position < draws; ++position) {
    Logits logits = of_probabilities(probabilities);
    counts[static_cast<std::size_t>(sample(logits, params, {}, 0, position))] += 1.0 / draws;
  }
  for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(counts[i] - probabilities[i]) < 0.02);
}

TEST_CASE("chance is a function of seed and position alone") {
  std::set<double> values;
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (std::uint64_t position = 0; position < 100; ++position) {
      const double value = uniform(seed, position);
      CHECK(value == uniform(seed, position));
      CHECK((value >= 0 && value < 1));
      values.insert(value);
      sum += value;
    }
  }
  CHECK(values.size() == 10'000);
  CHECK(std::abs(sum / 10'000 - 0.5) < 0.02);
  CHECK(uniform(UINT64_MAX, UINT64_MAX) < 1);
}

TEST_CASE("logits that are no numbers are an error") {
  CHECK(contains(error_of([] { greedy({1.0f, NAN}); }), "the logit of token 1 is"));
  CHECK(contains(error_of([] { greedy({INFINITY, 1.0f}); }), "the logit of token 0 is inf"));
  CHECK(contains(error_of([] { greedy({-INFINITY, -INFINITY}); }), "minus infinity"));
  CHECK(contains(error_of([] { greedy({}); }), "no logits"));
}

TEST_CASE("a token that the model does not have is an error") {
  SamplingParams params;
  params.bias[7] = 1;
  CHECK(contains(error_of([&] { greedy({1.0f}, params); }), "bias names token 7"));
}

TEST_CASE("parameters out of range are refused by name") {
  const auto message = [](auto change) {
    SamplingParams params;
    change(params);
    return error_of([&] { validate(params); });
  };
  CHECK(message([](SamplingParams&) {}).empty());
  CHECK(contains(message([](SamplingParams& p) { p.temperature = -1; }), "temperature is -1"));
  CHECK(contains(message([](SamplingParams& p) { p.temperature = NAN; }), "temperature is nan"));
  CHECK(contains(message([](SamplingParams& p) { p.top_k = -1; }), "top_k is -1"));
  CHECK(contains(message([](SamplingParams& p) { p.top_p = 1.5f; }), "top_p is 1.5"));
  CHECK(contains(message([](SamplingParams& p) { p.min_p = -0.5f; }), "min_p is -0.5"));
  CHECK(contains(message([](SamplingParams& p) { p.repetition_penalty = 0; }),
                 "repetition_penalty is 0"));
  CHECK(contains(message([](SamplingParams& p) { p.presence_penalty = INFINITY; }),
                 "presence_penalty is inf"));
  CHECK(contains(message([](SamplingParams& p) { p.bias[-1] = 0; }), "bias: a token is -1"));
  CHECK(contains(message([](SamplingParams& p) { p.bias[1] = NAN; }), "bias is nan"));
}

TEST_CASE("a checkpoint that does not sample is greedy") {
  GenerationDefaults defaults;
  defaults.temperature = 0.7f;
  defaults.top_k = 20;
  defaults.says_sampling = true;
  for (const ChatTemplate family : {ChatTemplate::chatml, ChatTemplate::qwen3_8}) {
    defaults.do_sample = false;
    CHECK(recommended(defaults, family, true).temperature == 0);
    defaults.do_sample = true;
    CHECK(recommended(defaults, family, false).temperature == 0.7f);
    CHECK(recommended(defaults, family, true).top_k == 20);
  }
}

TEST_CASE("where a checkpoint says nothing, what is published for its family counts") {
  const GenerationDefaults silent;
  CHECK(recommended(silent, ChatTemplate::chatml, true).temperature == 0);
  for (const ChatTemplate family : {ChatTemplate::qwen3_5, ChatTemplate::qwen3_5_small,
                                    ChatTemplate::qwen3_6, ChatTemplate::qwen3_8}) {
    const SamplingParams thinks = recommended(silent, family, true);
    CHECK(thinks.temperature == 1.0f);
    CHECK(thinks.top_p == 0.95f);
    CHECK(thinks.top_k == 20);
    CHECK(thinks.presence_penalty == 0);
    const SamplingParams answers = recommended(silent, family, false);
    CHECK(answers.temperature == 0.7f);
    CHECK(answers.top_p == 0.8f);
    CHECK(answers.top_k == 20);
    CHECK(answers.presence_penalty == 1.5f);
  }
}

// --- Stop strings ---

struct Shown {
  std::string text;
  bool stopped = false;
  bool operator==(const Shown&) const = default;
};

Shown watch(const std::vector<std::string>& stops, const std::string& text, std::size_t step) {
  StopStrings watcher(stops);
  Shown shown;
  for (std::size_t at = 0; at < text.size(); at += step) {
    StopStrings::Result result = watcher.push(std::string_view(text).substr(at, step));
    shown.text += result.text;
    if (result.stopped) return {shown.text, true};
  }
  shown.text += watcher.finish();
  return shown;
}

TEST_CASE("an answer ends before a stop string, however it arrives") {
  for (std::size_t step = 1; step <= 12; ++step) {
    CHECK(watch({"END"}, "some EN ENDless", step) == Shown{"some EN ", true});
    CHECK(watch({"\n\n", "```"}, "a\nb``c```d\n\n", step) == Shown{"a\nb``c", true});
    CHECK(watch({"abc", "b"}, "xabc", step) == Shown{"xa", true});
    CHECK(watch({"c", "abc"}, "xabc", step) == Shown{"x", true});
    CHECK(watch({"aab"}, "aaab", step) == Shown{"a", true});
    CHECK(watch({"END"}, "nothing EN", step) == Shown{"nothing EN", false});
    CHECK(watch({}, "anything", step) == Shown{"anything", false});
  }
}

TEST_CASE("what cannot begin a stop string is shown at once") {
  StopStrings watcher({"END"});
  CHECK(watcher.push("some E").text == "some ");
  CHECK(watcher.push("x").text == "Ex");
  CHECK(watcher.push("EN").text.empty());
  CHECK(watcher.finish() == "EN");
}

TEST_CASE("an empty stop string is refused") {
  CHECK(contains(error_of([] { StopStrings watcher({"a", ""}); }), "stop string is empty"));
}

}  // namespace
}  // namespace hearth::engine
