// Drafts of a small model: answers stay what they are whatever share of the drafts is right and
// wherever they are interrupted, and the small model computes no token twice.
#include "engine/draft_session.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "tests/engine/files.hpp"
#include "tests/engine/resume_runs.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using Source = DraftLength::Source;

constexpr std::size_t length = 4;  // drafts a pass

// The embedded checkpoint, without checkpoints of prompts: both models read them alike, to the bit.
EngineOptions ember_options() {
  EngineOptions options = resumed_ember();
  options.prefix_ram_bytes = 0;
  return options;
}

std::shared_ptr<Runtime> large() {
  static const std::shared_ptr<Runtime> runtime = Runtime::load(ember_options());
  return runtime;
}
// The same checkpoint loaded once more: all of its drafts are right unless a test changes them.
std::shared_ptr<Runtime> small() {
  static const std::shared_ptr<Runtime> runtime = Runtime::load(ember_options());
  return runtime;
}

TokenId other_token(TokenId token) {
  return token == 0 ? 1 : token - 1;
}

// Of the drafts behind one answer, only the first `right` are.
void let_be_right(DraftSession& drafts, std::size_t right) {
  drafts.tamper([right](std::size_t index, TokenId token) {
    return index < right ? token : other_token(token);
  });
}

// An answer of which only `runtime` and the prompt decide.
Run plain(const GenerationRequest& request, const std::shared_ptr<Runtime>& runtime = large()) {
  Session session(runtime);
  session.draft_length() = DraftLength(0);
  return run(session, request);
}

Session drafting(const std::shared_ptr<Runtime>& runtime = large()) {
  Session session(runtime);
  session.draft_length() = DraftLength::fixed(Source::small_model, length);
  return session;
}

GenerationRequest with(DraftSession& drafts, GenerationRequest request) {
  request.drafts = &drafts;
  return request;
}

// Rows of the small model: each token that it followed once, each draft that was refused once.
void check_nothing_twice(const DraftSession& drafts) {
  CHECK(drafts.session().tokens_computed() ==
        drafts.session().tokens().size() + drafts.counts().taken_back);
}

GenerationRequest long_request(float temperature, std::uint64_t seed) {
  GenerationRequest request = explain_request(large()->engine());
  request.sampling.temperature = temperature;
  request.sampling.seed = seed;
  request.max_tokens = 40;
  if (temperature > 0) request.stop_ids.clear();
  return request;
}

}  // namespace

TEST_CASE("drafts of a small model change no answer, be all, half or none of them right") {
  for (const std::size_t right : {std::size_t{0}, length / 2, length}) {  // of each pass
    for (const float temperature : {0.0F, 0.9F}) {
      CAPTURE(right);
      CAPTURE(temperature);
      const GenerationRequest request = long_request(temperature, 3 + right);
      const Run expected = plain(request);
      DraftSession drafts(small(), large()->engine());
      let_be_right(drafts, right);
      Session session = drafting();
      Generation generation(session, with(drafts, request));
      std::uint64_t refused = 0;     // drafts that had been computed
      std::uint64_t taken_back = 0;  // of them, by the time of the last pass with drafts
      DecodeCounts before;
      for (Progress progress = Progress::more; progress != Progress::done;) {
        progress = generation.step(nullptr);
        const DecodeCounts& now = generation.counts();
        const std::uint64_t drafted = now.drafted - before.drafted;
        const std::uint64_t accepted = now.accepted - before.accepted;
        before = now;
        if (drafted == 0) continue;
        if (progress != Progress::done) CHECK(accepted == std::min<std::uint64_t>(right, drafted));
        taken_back = refused;
        CHECK(drafts.counts().taken_back == taken_back);
        if (accepted < drafted) refused += drafted - 1 - accepted;  // the last is not computed
      }
      CHECK(generation.take_text() == expected.text);
      CHECK(generation.answer() == expected.tokens);
      CHECK(generation.reason() == expected.reason);
      CHECK(std::ranges::equal(session.logits(), expected.logits));
      CHECK(generation.counts().drafted == drafts.counts().proposed);
      CHECK(generation.counts().tokens ==
            generation.counts().passes + generation.counts().accepted);
      CHECK(expected.tokens.size() > 15);
      if (right > 0) CHECK(generation.counts().passes < expected.counts.passes);
      CHECK(drafts.counts().taken_back == taken_back);
      check_nothing_twice(drafts);
    }
  }
}

TEST_CASE("penalties see drafts, too, where only a shortlist of the logits is computed") {
  EngineOptions options = ember_options();
  options.shortlist = ShortlistUse::always;
  const auto shortlisted = Runtime::load(options);
  GenerationRequest request = long_request(0, 1);
  request.stop_ids.clear();
  request.max_tokens = 12;
  std::uint64_t accepted = 0;
  for (TokenId token = 0; token < 40; ++token) {
    CAPTURE(token);
    // Rows that see much the same prefer the same tokens: most of them are drafts before.
    request.prompt.tokens.assign(30, 100 * token);
    request.prompt.boundaries.clear();
    const bool presence = token % 2 == 0;
    request.sampling.presence_penalty = presence ? 90 : 0;
    request.sampling.repetition_penalty = presence ? 1 : 90;
    DraftSession drafts(small(), large()->engine());
    Session session = drafting(shortlisted);
    session.draft_length() = DraftLength::fixed(Source::small_model, 8);
    const Run written = run(session, with(drafts, request));
    CHECK(written.tokens == plain(request).tokens);
    accepted += written.counts.accepted;
  }
  CHECK(accepted > 100);
}

TEST_CASE("drafts of a small model change neither a thought nor where a stop string ends it") {
  for (const std::size_t right : {std::size_t{1}, length}) {
    CAPTURE(right);
    GenerationRequest thinking = explain_request(large()->engine(), true);
    thinking.thinking_budget = 25;
    GenerationRequest stopped = long_request(0, 1);
    stopped.stop_strings = {"and divides the tot"};
    for (const GenerationRequest& request : {thinking, stopped}) {
      const Run expected = plain(request);
      DraftSession drafts(small(), large()->engine());
      let_be_right(drafts, right);
      Session session = drafting();
      const Run written = run(session, with(drafts, request));
      CHECK(written == expected);
      CHECK(written.counts.accepted > 0);
      check_nothing_twice(drafts);
    }
  }
}

TEST_CASE("an answer that is interrupted anywhere keeps its drafts, and computes none twice") {
  const GenerationRequest request = long_request(0.9F, 5);
  const Run expected = plain(request);
  DraftSession drafts(small(), large()->engine());
  std::atomic<bool> interrupt = false;
  std::size_t calls = 0;
  std::size_t inside = 0;  // interruptions between two drafts of a pass
  drafts.tamper([&](std::size_t index, TokenId token) {
    if (++calls % 3 == 0) interrupt = true;
    if (interrupt && index + 1 < length) ++inside;
    return index < 3 ? token : other_token(token);
  });
  Session session = drafting();
  Generation generation(session, with(drafts, request));
  std::size_t steps = 0;
  std::size_t interrupted = 0;
  for (Progress progress = Progress::more; progress != Progress::done; ++steps) {
    interrupt = steps % 5 == 0;
    progress = generation.step(&interrupt);
    interrupted += progress == Progress::interrupted ? 1 : 0;
  }
  CHECK(generation.answer() == expected.tokens);
  CHECK(std::ranges::equal(session.logits(), expected.logits));
  CHECK(interrupted > 10);
  CHECK(inside > 3);
  CHECK(generation.counts().drafted == drafts.counts().proposed);
  check_nothing_twice(drafts);
}

TEST_CASE("an answer that is given up and goes on later is drafted on from where it is") {
  const GenerationRequest request = long_request(0, 1);
  EngineOptions options = ember_options();
  options.prefix_ram_bytes = std::uint64_t{64} << 20;
  const auto keeping = Runtime::load(options);
  const Run expected = plain(request, keeping);
  DraftSession drafts(keeping, keeping->engine());  // of one runtime, as of two
  let_be_right(drafts, 3);
  for (std::size_t steps = 1; steps < 60; steps += 7) {
    CAPTURE(steps);
    Session session = drafting(keeping);
    GenerationRequest rest = with(drafts, request);
    {
      Generation generation(session, rest);
      for (std::size_t i = 0; i < steps; ++i) generation.step(nullptr);
      if (generation.reason()) break;
      rest.written = generation.answer();
    }
    // Another prompt in between, then the first from what was kept of it.
    GenerationRequest other = rest;
    other.written.clear();
    other.prompt.tokens.assign(90, 17);
    other.prompt.boundaries.clear();
    other.max_tokens = 9;
    CHECK(run(session, other).tokens == plain(other, keeping).tokens);
    Run resumed = run(session, rest);
    CHECK(resumed.tokens == expected.tokens);
    CHECK(resumed.text == expected.text);
  }
}

TEST_CASE("two answers in turns have a session each of one small model") {
  const GenerationRequest requests[2] = {long_request(0, 1), long_request(0.9F, 7)};
  DraftSession drafts[2] = {{small(), large()->engine()}, {small(), large()->engine()}};
  Session sessions[2] = {drafting(), drafting()};
  Generation first(sessions[0], with(drafts[0], requests[0]));
  Generation second(sessions[1], with(drafts[1], requests[1]));
  while (!first.reason() || !second.reason()) {
    for (Generation* each : {&first, &second})
      if (!each->reason()) each->step(nullptr);
  }
  CHECK(first.answer() == plain(requests[0]).tokens);
  CHECK(second.answer() == plain(requests[1]).tokens);
  for (const DraftSession& each : drafts) {
    CHECK(each.counts().taken_back == 0);
    check_nothing_twice(each);
  }
}

TEST_CASE("drafts end where a context is full: the answer's, or the small model's own") {
  GenerationRequest request = long_request(0.9F, 2);
  const auto prompt = static_cast<std::int64_t>(request.prompt.tokens.size());
  EngineOptions options = ember_options();
  options.context = prompt + 30;
  const auto tight = Runtime::load(options);
  options.context = prompt + 12;
  const auto tighter = Runtime::load(options);
  options.context = prompt;  // not even a token
  const auto too_tight = Runtime::load(options);
  const Run expected = plain(request, tight);
  CHECK(expected.reason == StopReason::context_full);
  for (const auto& runtime : {tight, tighter, too_tight}) {
    DraftSession drafts(runtime, tight->engine());
    Session session = drafting(tight);
    CHECK(run(session, with(drafts, request)) == expected);
    CHECK(drafts.session().position() <= runtime->engine().context());
    CHECK((drafts.counts().proposed > 0) == (runtime != too_tight));
    CHECK(drafts.works());
  }
}

TEST_CASE("another model's drafts, of which none is right, pause by themselves") {
  const engine::ScratchDirectory directory;
  DummyOptions dummy;
  dummy.out = directory.path() / "tiny";
  dummy.config = tiny_config(128, 4, 8);
  dummy.tokenizer = large()->engine().options().model;
  REQUIRE(write_dummy(dummy));
  EngineOptions options = ember_options();
  options.model = dummy.out;
  DraftSession drafts(Runtime::load(options), large()->engine());
  constexpr TokenId never = 17;
  drafts.tamper([](std::size_t, TokenId) { return never; });
  GenerationRequest request = long_request(0.9F, 11);
  request.sampling.bias[never] = -1000;
  request.max_tokens = 150;
  Session session(large());
  Generation generation(session, with(drafts, request));
  std::uint64_t passes = 0;  // with drafts
  for (std::uint64_t before = 0; generation.step(nullptr) != Progress::done;) {
    passes += drafts.counts().proposed > before ? 1 : 0;
    before = drafts.counts().proposed;
  }
  CHECK(generation.answer() == plain(request).tokens);
  // However little they cost, some twenty that are wrong are enough; then one in 24 turns.
  CHECK(passes >= 1);
  CHECK(passes <= 22 + 150 / 24);
  check_nothing_twice(drafts);
}

TEST_CASE("a small model that fails drafts no more, and the answer goes on") {
  std::string log;
  EngineOptions options = ember_options();
  options.note = [&](const std::string& note) { log += note; };
  DraftSession drafts(Runtime::load(options), large()->engine());
  drafts.tamper([&](std::size_t, TokenId token) {
    if (drafts.counts().proposed == 9) throw Error("it was damaged");
    return token;
  });
  const GenerationRequest request = long_request(0, 1);
  Session session = drafting();
  CHECK(run(session, with(drafts, request)) == plain(request));
  CHECK_FALSE(drafts.works());
  CHECK(drafts.counts().proposed == 9);
  CHECK(log.ends_with("engine/ember drafts no more tokens: it was damaged"));
}

TEST_CASE("a small model with other tokens is refused with the first difference") {
  namespace fs = std::filesystem;
  const fs::path ember = large()->engine().options().model;
  const engine::ScratchDirectory directory;
  nlohmann::json tokenizer = nlohmann::json::parse(read_text(ember / "tokenizer.json", 1 << 26));
  directory.write("tokenizer.json", tokenizer.dump());
  fs::copy_file(ember / "tokenizer_config.json", directory.path() / "tokenizer_config.json");
  CHECK_NOTHROW(require_same_tokens(directory.path(), ember));

  auto& merges = tokenizer["model"]["merges"];
  std::swap(merges[5], merges[6]);
  directory.write("tokenizer.json", tokenizer.dump());
  const std::string error = error_of([&] { require_same_tokens(directory.path(), ember); });
  CHECK(error == directory.path().string() + " cannot draft for " + ember.string() +
                     ", whose tokens are others: its merges are not the other's; choose a small "
                     "model of the same family");
  // The same where both are loaded.
  for (const auto& file : fs::directory_iterator(ember)) {
    const fs::path copy = directory.path() / file.path().filename();
    if (!fs::exists(copy)) fs::create_symlink(file.path(), copy);
  }
  EngineOptions options = ember_options();
  options.model = directory.path();
  const auto other = Runtime::load(options);
  CHECK(error_of([&] { DraftSession(other, large()->engine()); }) == error);
}

}  // namespace hearth::tests
