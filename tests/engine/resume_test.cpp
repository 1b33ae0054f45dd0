// Answers that go on where a killed, paused or restarted process left them: with the tokens, the
// text and the bits of an unbroken run, and how much of it is computed again.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>

#include "engine/engine.hpp"
#include "engine/prefix/cache.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

using Tokens = std::vector<TokenId>;

EngineOptions golden(const std::string& name) {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden" / name;
  options.mtp = MtpUse::always;
  options.host().threads = 1;
  options.checkpoint_distance = 64;
  options.chunk = 128;
  options.disk_min_seconds = 0;
  return options;
}

EngineOptions ember() {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  options.mtp = MtpUse::always;
  options.host().threads = 1;  // what is computed is small
  options.checkpoint_distance = 64;
  options.disk_min_seconds = 0;
  return options;
}

// A checkpoint behind every pass.
EngineOptions often(EngineOptions options, const TemporaryDirectory& directory) {
  options.prefix_directory = directory.path() / "prefixes";
  options.answer_checkpoint_seconds = 1e-9;
  options.answer_checkpoint_bytes = std::uint64_t{1} << 60;
  options.prefix_daily_bytes = std::uint64_t{1} << 40;
  return options;
}

Tokens some_tokens(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  Tokens tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 300);
  return tokens;
}

void read(Session& session, const Tokens& tokens) {
  while (session.prefill(tokens, {}, nullptr) != Progress::done) {
  }
}

// A session that read a prompt and decoded what is behind it, one by one.
void write(Session& session, const Tokens& all, std::size_t prompt) {
  const Tokens beginning(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(prompt));
  session.sync(beginning);
  read(session, beginning);
  for (std::size_t i = prompt; i < all.size(); ++i)
    REQUIRE(session.decode(all[i], nullptr) == Progress::done);
}

// One that goes on behind what another one decoded, and decodes the last token itself.
std::size_t resume(Session& session, const Tokens& all, std::size_t prompt) {
  const std::size_t known = *session.sync(all, prompt, nullptr);
  const std::span<const TokenId> before = std::span(all).first(all.size() - 1);
  if (known <= prompt)
    read(session, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(prompt)});
  while (session.replay(before, nullptr) != Progress::done) {
  }
  REQUIRE(session.decode(all.back(), nullptr) == Progress::done);
  return known;
}

bool same_bits(Session& a, Session& b) {
  return a.tokens() == b.tokens() && std::ranges::equal(a.logits(), b.logits()) &&
         a.draft(7, 3) == b.draft(7, 3);
}

// What one generation came to.
struct Run {
  Tokens tokens;
  std::string text;
  std::vector<std::size_t> visible;  // bytes of the text behind each token
  std::optional<StopReason> reason;
  std::size_t thought = 0;
  bool thought_cut = false;
  std::vector<float> logits;
  DecodeCounts counts;
  std::size_t cached = 0;

  bool operator==(const Run& other) const {
    return tokens == other.tokens && text == other.text && reason == other.reason &&
           thought == other.thought && thought_cut == other.thought_cut && logits == other.logits;
  }
};

Run run(Session& session, const GenerationRequest& request) {
  Run result;
  Generation generation(session, request);
  result.text = generation.take_text();
  Progress progress = Progress::more;
  while (progress != Progress::done) {
    progress = generation.step(nullptr);
    result.text += generation.take_text();
    result.visible.resize(generation.answer().size(), result.text.size());
  }
  result.tokens = generation.answer();
  result.reason = generation.reason();
  result.thought = generation.thought_tokens();
  result.thought_cut = generation.thought_cut();
  result.logits.assign(session.logits().begin(), session.logits().end());
  result.counts = generation.counts();
  result.cached = generation.cached_tokens();
  return result;
}

Run run(const std::shared_ptr<Runtime>& runtime, const GenerationRequest& request) {
  Session session(runtime);
  return run(session, request);
}

GenerationRequest explain_request(const Engine& engine, bool thinking = false) {
  Profile profile = engine.profile();
  profile.thinking = thinking;
  const std::vector<ChatMessage> messages = {
      {"system", profile.system_chat},
      {"user",
       "File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
       "    for value in values:\n        total += value\n    return total / len(values)\n```\n\n"
       "Explain what this code does."}};
  GenerationRequest request;
  request.prompt = tokenize(engine.tokenizer(), render_chat(profile, messages));
  request.stop_ids = profile.chat_stop;
  request.thinking = thinking;
  request.max_tokens = 14;
  return request;
}

GenerationRequest behind(GenerationRequest request, const Run& whole, std::size_t count) {
  request.written.assign(whole.tokens.begin(),
                         whole.tokens.begin() + static_cast<std::ptrdiff_t>(count));
  return request;
}

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

TEST_CASE("what was written before is computed again with the bits that decoding gave it") {
  constexpr std::size_t prompt = 150;
  constexpr std::size_t total = HEARTH_SANITIZED ? 220 : 700;  // several pieces
  for (const std::string name : {"fp8-mtp-f16-scales", "bf16-mtp-single", "fp8-odd-bf16-scales"}) {
    CAPTURE(name);
    EngineOptions options = golden(name);
    options.prefix_ram_bytes = 0;
    const auto runtime = Runtime::load(options);
    const Tokens all = some_tokens(total);
    Session unbroken(runtime);
    write(unbroken, all, prompt);
    Session resumed(runtime);
    CHECK(resume(resumed, all, prompt) == 0);
    CHECK(same_bits(resumed, unbroken));
    CHECK(resumed.tokens_computed() == total);
  }
}

TEST_CASE("a replay that is interrupted goes on where it was") {
  const auto runtime = Runtime::load(golden("fp8-mtp-f16-scales"));
  const Tokens all = some_tokens(300);
  Session unbroken(runtime);
  write(unbroken, all, 100);
  Session resumed(runtime);
  REQUIRE(resumed.sync(all, 100, nullptr) == 100);
  std::atomic<bool> interrupt = false;
  double done = 100;
  std::size_t stages = 0;
  for (Progress progress = Progress::more; progress != Progress::done; ++stages) {
    interrupt = stages % 3 == 1;
    progress = resumed.replay(std::span(all).first(299), &interrupt);
    CHECK(resumed.prefill_done() >= done);
    done = resumed.prefill_done();
  }
  CHECK(stages > 8);
  CHECK(resumed.tokens_computed() == 199);
  REQUIRE(resumed.decode(all.back(), nullptr) == Progress::done);
  CHECK(same_bits(resumed, unbroken));
}

TEST_CASE("inside an answer nothing goes on from what prefill read there") {
  // The checkpoint before its end is at a multiple of 64, so that no other one changes its bits.
  constexpr std::size_t prompt = 208;
  const Tokens all = some_tokens(400);
  const auto first = [&](std::size_t count) {
    return Tokens(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
  };
  const auto elsewhere = Runtime::load(golden("fp8-mtp-f16-scales"));
  Session unbroken(elsewhere);
  write(unbroken, all, prompt);
  const auto runtime = Runtime::load(golden("fp8-mtp-f16-scales"));
  Session session(runtime);
  Session other(runtime);
  std::size_t expected = 0;
  SUBCASE("as a checkpoint") {
    other.sync(all);
    read(other, all);
    REQUIRE(runtime->cached_prefix(first(390)) > prompt);
    expected = 192;
  }
  SUBCASE("as the session's own") {
    session.sync(all);
    read(session, all);
    expected = 192;
  }
  SUBCASE("as the session's own, of a part that was read") {
    write(session, first(250), prompt);
    session.sync(first(320));
    read(session, first(320));
    expected = prompt;
  }
  SUBCASE("but from what was decoded behind the same prompt") {
    write(other, first(300), prompt);
    other.keep();
    expected = 300;
  }
  SUBCASE("nor from a prompt's rows under what was decoded") {
    other.sync(all);
    read(other, all);
    write(other, first(300), prompt);
    other.keep();
    expected = 300;
  }
  CHECK(resume(session, all, prompt) == expected);
  CHECK(same_bits(session, unbroken));
}

TEST_CASE("nothing goes on inside an answer from one that was decoded behind another prompt") {
  const Tokens all = some_tokens(300);
  const auto runtime = Runtime::load(golden("fp8-mtp-f16-scales"));
  Session other(runtime);
  write(other, all, 100);
  other.keep();
  CHECK(runtime->cached_prefix(all) == 300);
  Session session(runtime);
  CHECK(session.sync(all, 200, nullptr) == 100);
  CHECK(session.sync(all, 100, nullptr) == 300);
}

TEST_CASE("an answer goes on behind any beginning of it, drawn or not, with drafts or without") {
  for (const std::size_t drafts : {0, 5}) {
    EngineOptions options = ember();
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
  EngineOptions options = ember();
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
  const auto runtime = Runtime::load(ember());
  GenerationRequest request = explain_request(runtime->engine());
  const std::string code = "def total(items):\n    result = 0\n    for item in items:\n";
  request.prompt.tokens = runtime->engine().tokenizer().encode(code + "\n\n" + code + "\n\n");
  request.prompt.boundaries.clear();
  const Run whole = run(runtime, request);
  CHECK(whole.counts.drafted > 0);
  check_every_cut(runtime, request);
}

TEST_CASE("an answer goes on inside a character that is not whole") {
  const auto runtime = Runtime::load(ember());
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
  const auto runtime = Runtime::load(ember());
  GenerationRequest request = explain_request(runtime->engine());
  request.stop_strings = {"values: it ad", "average of the medians"};
  const Run whole = run(runtime, request);
  CHECK(whole.reason == StopReason::stop_string);
  CHECK(whole.visible[whole.visible.size() - 2] == whole.text.size());
  check_every_cut(runtime, request);
}

TEST_CASE("an answer goes on inside its thought and inside what closes that") {
  EngineOptions options = ember();
  const auto runtime = Runtime::load(options);
  GenerationRequest request = explain_request(runtime->engine(), true);
  request.max_tokens = 8;
  SUBCASE("at the budget") {
    for (const std::int64_t budget : {0, 1, 12}) {
      request.thinking_budget = budget;
      CHECK(run(runtime, request).thought_cut);
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
  const auto runtime = Runtime::load(ember());
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
  const auto runtime = Runtime::load(ember());
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

TEST_CASE("of an answer whose process is killed at any token little is computed again") {
  const TemporaryDirectory directory;
  const EngineOptions options = often(ember(), directory);
  std::shared_ptr<Runtime> runtime = Runtime::load(options);
  for (const float temperature : {0.0F, 0.9F}) {
    GenerationRequest request = explain_request(runtime->engine());
    request.sampling.temperature = temperature;
    request.sampling.seed = 3;
    request.checkpoints = true;
    request.max_tokens = 24;
    const Run whole = run(Runtime::load(ember()), request);
    Session session(runtime);
    Generation generation(session, request);
    std::size_t kills = 0;
    std::size_t passes = 0;
    while (generation.step(nullptr) != Progress::done) {
      runtime->prefixes().flush();
      if (generation.answer().size() < 3 || passes++ % 3 != 1) continue;
      CAPTURE(generation.answer().size());
      CHECK(std::ranges::equal(generation.answer(),
                               std::span(whole.tokens).first(generation.answer().size())));
      const std::size_t files = runtime->prefix_statistics().disk_checkpoints;
      // What is known of it may be a token behind.
      for (const std::size_t behind_by : {0, 1}) {
        const std::size_t known = generation.answer().size() - behind_by;
        const TemporaryDirectory copy;
        std::filesystem::copy(options.prefix_directory, copy.path() / "prefixes");
        const auto restarted = Runtime::load(often(ember(), copy));
        const Run resumed = run(restarted, behind(request, whole, known));
        CHECK(resumed.tokens == whole.tokens);
        CHECK(resumed == whole);
        CHECK(resumed.cached == request.prompt.tokens.size());
        CHECK(resumed.counts.replayed <= 5 + 1);  // a pass has up to so many
        restarted->prefixes().flush();
        CHECK(restarted->prefix_statistics().disk_checkpoints + 1 <= files);
        ++kills;
      }
    }
    CHECK(kills >= 2);
  }
}

TEST_CASE("checkpoints inside an answer go once later ones are written, and with its end") {
  const TemporaryDirectory directory;
  const auto runtime = Runtime::load(often(ember(), directory));
  GenerationRequest request = explain_request(runtime->engine());
  request.max_tokens = 24;
  run(runtime, request);  // without any
  runtime->prefixes().flush();
  const PrefixStatistics before = runtime->prefix_statistics();
  request.checkpoints = true;
  Session session(runtime);
  Generation generation(session, request);
  std::size_t most = 0;
  while (generation.step(nullptr) != Progress::done) {
    runtime->prefixes().flush();
    const std::size_t now = runtime->prefix_statistics().disk_checkpoints;
    CHECK(now <= before.disk_checkpoints + 2);
    most = std::max(most, now);
  }
  CHECK(most == before.disk_checkpoints + 2);
  runtime->prefixes().flush();
  const PrefixStatistics after = runtime->prefix_statistics();
  CHECK(after.disk_checkpoints == before.disk_checkpoints);
  CHECK(after.disk_bytes == before.disk_bytes);
  CHECK(after.written_today > before.written_today);
}

TEST_CASE("an answer's checkpoints keep to their pace and to half of a day's bytes") {
  const TemporaryDirectory directory;
  EngineOptions options = often(ember(), directory);
  const auto written = [&] {
    const auto runtime = Runtime::load(options);
    GenerationRequest request = explain_request(runtime->engine());
    request.max_tokens = 24;
    run(runtime, request);
    runtime->prefixes().flush();
    const std::uint64_t before = runtime->prefix_statistics().written_today;
    request.checkpoints = true;
    run(runtime, request);
    runtime->prefixes().flush();
    return runtime->prefix_statistics().written_today - before;
  };
  SUBCASE("none") {
    options.answer_checkpoint_seconds = 0;
  }
  SUBCASE("seconds that do not pass") {
    options.answer_checkpoint_seconds = 1e6;
  }
  SUBCASE("no bytes for them") {
    options.answer_checkpoint_bytes = 1;
  }
  SUBCASE("the prompts need the day's") {
    options.prefix_daily_bytes = 1 << 20;
  }
  SUBCASE("not on this disk") {
    options.prefix_disk_bytes = 1 << 20;
  }
  CHECK(written() == 0);
}

TEST_CASE("an answer that is given up for now goes on without computing anything again") {
  const TemporaryDirectory directory;
  EngineOptions options = often(ember(), directory);
  options.answer_checkpoint_seconds = 0;
  GenerationRequest request;
  Run whole;
  std::size_t known = 0;
  {
    const auto runtime = Runtime::load(options);
    request = explain_request(runtime->engine());
    request.checkpoints = true;
    whole = run(runtime, request);
    Session session(runtime);
    Generation generation(session, request);
    while (generation.answer().size() < 9) generation.step(nullptr);
    known = generation.answer().size();
    generation.keep();
  }
  const auto runtime = Runtime::load(options);
  const Run resumed = run(runtime, behind(request, whole, known));
  CHECK(resumed == whole);
  CHECK(resumed.counts.replayed == 0);
  CHECK(resumed.cached == request.prompt.tokens.size());
}

TEST_CASE("a long prompt whose process is killed goes on at its last checkpoint") {
  constexpr std::size_t total = HEARTH_SANITIZED ? 500 : 1200;
  const Tokens tokens = some_tokens(total);
  const TemporaryDirectory directory;
  EngineOptions options = golden("fp8-mtp-f16-scales");
  Session unkilled(Runtime::load(options));
  unkilled.sync(tokens);
  read(unkilled, tokens);

  options.prefix_directory = directory.path() / "prefixes";
  const auto runtime = Runtime::load(options);
  Session session(runtime);
  session.sync(tokens);
  std::size_t kills = 0;
  for (std::size_t step = 0; session.prefill(tokens, {}, nullptr) != Progress::done; ++step) {
    if (step % 17 != 0) continue;
    runtime->prefixes().flush();
    const TemporaryDirectory copy;
    std::filesystem::copy(options.prefix_directory, copy.path() / "prefixes");
    EngineOptions restarted = options;
    restarted.prefix_directory = copy.path() / "prefixes";
    Session resumed(Runtime::load(restarted));
    const std::size_t known = resumed.sync(tokens);
    CAPTURE(step);
    // Of the last chunk the checkpoints may not have been made yet.
    CHECK(known + 64 + 128 >= static_cast<std::size_t>(session.position()));
    if (kills++ % 4 != 0) continue;
    read(resumed, tokens);
    CHECK(same_bits(resumed, unkilled));
  }
  CHECK(kills > 2);
}

TEST_CASE("of a durable prompt whose process is killed at most one chunk is computed again") {
  constexpr std::size_t chunk = 64;
  constexpr std::size_t total = HEARTH_SANITIZED ? 300 : 700;
  const Tokens tokens = some_tokens(total);
  const TemporaryDirectory directory;
  EngineOptions options = golden("fp8-mtp-f16-scales");
  options.chunk = chunk;
  options.checkpoint_distance = 512;  // the regular ones are no help
  Session unkilled(Runtime::load(options));
  unkilled.sync(tokens);
  read(unkilled, tokens);

  options = often(options, directory);
  options.disk_min_seconds = 1e-9;
  const auto runtime = Runtime::load(options);
  Session session(runtime);
  session.sync(tokens);
  std::size_t kills = 0;
  std::size_t most = 0;
  for (std::size_t step = 0; session.prefill(tokens, {}, nullptr, true) != Progress::done; ++step) {
    if (step % 5 != 0) continue;
    runtime->prefixes().flush();  // at this step's end; what a write takes, secure() waits for
    const TemporaryDirectory copy;
    std::filesystem::copy(options.prefix_directory, copy.path() / "prefixes");
    EngineOptions restarted = options;
    restarted.prefix_directory = copy.path() / "prefixes";
    Session resumed(Runtime::load(restarted));
    const std::size_t known = resumed.sync(tokens);
    CAPTURE(step);
    CHECK(static_cast<double>(known + chunk) >= session.prefill_done());
    most = std::max(most, static_cast<std::size_t>(session.prefill_done()) - known);
    if (kills++ % 6 != 0) continue;
    read(resumed, tokens);
    CHECK(same_bits(resumed, unkilled));
  }
  CHECK(kills > 2);
  CHECK(most > 0);
  CHECK(same_bits(session, unkilled));
}

}  // namespace hearth::tests
