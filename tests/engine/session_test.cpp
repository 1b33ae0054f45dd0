// What a session keeps, what it goes back to, and that no way of cutting or interrupting it changes
// a bit of what it computes. Checkpoints across sessions and restarts: prefix_test.cpp.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <numeric>
#include <thread>

#include "engine/engine.hpp"
#include "engine/session_access.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

std::shared_ptr<Runtime> load(EngineOptions options = {}, const char* name = "fp8-mtp-f16-scales") {
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden" / name;
  return Runtime::load(options);
}

std::vector<TokenId> some_tokens(std::size_t count, TokenId seed = 1) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<TokenId>((static_cast<std::size_t>(seed) + i * 37 + i * i) % 280);
  return tokens;
}

void prefill(Session& session, const std::vector<TokenId>& tokens,
             const std::vector<std::size_t>& boundaries = {}) {
  session.sync(tokens);
  while (session.prefill(tokens, boundaries, nullptr) != Progress::done) {
  }
}

std::vector<float> logits_of(const Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

}  // namespace

TEST_CASE("sync keeps a prompt that only grew") {
  Session session(load());
  std::vector<TokenId> tokens = some_tokens(100);
  prefill(session, tokens);
  CHECK(session.tokens_computed() == 100);
  tokens.push_back(5);
  CHECK(session.sync(tokens) == 100);
  prefill(session, tokens);
  CHECK(session.tokens_computed() == 101);
}

TEST_CASE("a prompt that comes again computes nothing") {
  Session session(load());
  const std::vector<TokenId> tokens = some_tokens(90);
  prefill(session, tokens);
  const std::vector<float> before = logits_of(session);
  REQUIRE(session.decode(7, nullptr) == Progress::done);
  CHECK(session.sync(tokens) == 90);
  prefill(session, tokens);
  CHECK(session.tokens_computed() == 91);
  CHECK(logits_of(session) == before);
}

TEST_CASE("a prompt that differs goes back to the last mark before the difference") {
  Session session(load());
  std::vector<TokenId> tokens = some_tokens(150);
  prefill(session, tokens, {40, 100});
  tokens[120] ^= 1;
  CHECK(session.common(tokens) == 100);
  CHECK(session.sync(tokens) == 100);
  prefill(session, tokens, {40, 100});
  CHECK(session.tokens_computed() == 200);

  Session fresh(load());
  prefill(fresh, tokens, {40, 100});  // the same spans, so the same bits
  CHECK(logits_of(session) == logits_of(fresh));

  tokens[70] ^= 1;
  CHECK(session.sync(tokens) == 40);
  tokens[3] ^= 1;
  CHECK(session.sync(tokens) == 0);
}

TEST_CASE("boundaries change no result beyond rounding") {
  const std::vector<TokenId> tokens = some_tokens(130);
  Session plain(load());
  Session marked(load());
  prefill(plain, tokens);
  prefill(marked, tokens, {1, 50, 64, 129});
  for (std::size_t i = 0; i < plain.logits().size(); ++i) {
    CHECK(plain.logits()[i] == doctest::Approx(marked.logits()[i]).epsilon(1e-4));
  }
}

TEST_CASE("boundaries at the delta rule's own borders change no bit") {
  const std::vector<TokenId> tokens = some_tokens(200);
  Session plain(load());
  Session marked(load());
  prefill(plain, tokens);
  prefill(marked, tokens, {64, 128});
  CHECK(logits_of(plain) == logits_of(marked));
}

TEST_CASE("chunk size changes no bit") {
  const std::vector<TokenId> tokens = some_tokens(300);
  std::vector<float> expected;
  for (const std::int64_t chunk : {512, 64, 128, 1}) {  // rounded up to a multiple of 64
    EngineOptions options;
    options.chunk = chunk;
    Session session(load(options));
    prefill(session, tokens);
    if (expected.empty()) expected = logits_of(session);
    CHECK(logits_of(session) == expected);
  }
}

TEST_CASE("thread count and ISA change no bit where they follow one numeric definition") {
  const std::vector<TokenId> tokens = some_tokens(77);
  std::map<std::string, std::vector<float>> of_definition;
  const auto check = [&](const EngineOptions& options) {
    Session session(load(options));
    prefill(session, tokens);
    REQUIRE(session.decode(3, nullptr) == Progress::done);
    std::vector<float>& expected = of_definition[session.engine().numerics()];
    if (expected.empty()) expected = logits_of(session);
    CHECK(logits_of(session) == expected);
  };
  for (const int threads : {1, 2, 3}) {
    EngineOptions options;
    options.host().threads = threads;
    check(options);
  }
  for (const kernels::Isa isa :
       {kernels::Isa::scalar, kernels::Isa::avx2, kernels::Isa::avx512, kernels::Isa::amx}) {
    if (!kernels::host_has(isa)) {
      MESSAGE("skipped: this host lacks " << kernels::name(isa));
      continue;
    }
    EngineOptions options;
    options.host().isa = isa;
    check(options);
  }
}

TEST_CASE("in the step form a row's bits do not depend on its company") {
  const auto runtime = load();
  const std::vector<TokenId> tokens = some_tokens(8);
  Session together(runtime);
  Taps taps;
  SessionAccess::run(together, tokens, kernels::DeltaForm::step, taps);

  Session alone(runtime);
  const auto vocab = static_cast<std::size_t>(runtime->engine().config().vocab_size);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    REQUIRE(alone.decode(tokens[i], nullptr) == Progress::done);
    const std::vector<float> row(
        taps.logits.begin() + static_cast<std::ptrdiff_t>(i * vocab),
        taps.logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocab));
    CHECK(logits_of(alone) == row);
  }
}

TEST_CASE("tokens that were decoded together are taken back to any of them, to the bit") {
  const auto runtime = load();
  const std::vector<TokenId> prompt = some_tokens(40);
  const std::vector<TokenId> rows = some_tokens(6, 9);
  for (std::size_t kept = 1; kept <= rows.size(); ++kept) {
    CAPTURE(kept);
    Session together(runtime);
    prefill(together, prompt);
    REQUIRE(together.decode(rows, nullptr) == Progress::done);
    const std::vector<float> last(together.decoded_logits(kept - 1).begin(),
                                  together.decoded_logits(kept - 1).end());
    together.keep_decoded(kept);
    Session alone(runtime);
    prefill(alone, prompt);
    for (std::size_t i = 0; i < kept; ++i)
      REQUIRE(alone.decode(rows[i], nullptr) == Progress::done);
    CHECK(together.tokens() == alone.tokens());
    CHECK(logits_of(together) == logits_of(alone));
    CHECK(logits_of(alone) == last);
    CHECK(together.draft(3, 2) == alone.draft(3, 2));
    REQUIRE(together.decode(11, nullptr) == Progress::done);
    REQUIRE(alone.decode(11, nullptr) == Progress::done);
    CHECK(logits_of(together) == logits_of(alone));
  }
  Session session(runtime);
  REQUIRE(session.decode(1, nullptr) == Progress::done);
  CHECK_THROWS_AS(session.keep_decoded(0), Error);
  CHECK_THROWS_AS(session.keep_decoded(2), Error);
}

TEST_CASE("tokens that were decoded on one by one are taken back to any of them, to the bit") {
  const auto runtime = load();
  const std::vector<TokenId> prompt = some_tokens(40);
  const std::vector<TokenId> rows = some_tokens(6, 9);
  for (std::size_t kept = 1; kept <= rows.size(); ++kept) {
    CAPTURE(kept);
    Session session(runtime);
    prefill(session, prompt);
    REQUIRE(session.decode(std::span(rows).first(2), nullptr) == Progress::done);
    const std::atomic<bool> interrupt = true;
    for (std::size_t i = 2; i < rows.size(); ++i) {
      CHECK(session.decode_on(rows[i], &interrupt) == Progress::interrupted);
      REQUIRE(session.decode_on(rows[i], nullptr) == Progress::done);
      CHECK(session.decoded_tokens() == i + 1);
    }
    Session together(runtime);
    prefill(together, prompt);
    REQUIRE(together.decode(rows, nullptr) == Progress::done);
    for (std::size_t i = 0; i < rows.size(); ++i)
      CHECK(std::ranges::equal(session.decoded_logits(i), together.decoded_logits(i)));
    for (Session* each : {&session, &together}) {
      each->keep_decoded(kept);
      CHECK(each->decoded_tokens() == 1);
      // And on from there, where the tokens before can be taken back no more.
      REQUIRE(each->decode_on(rows[0], nullptr) == Progress::done);
      CHECK(each->decoded_tokens() == 2);
    }
    CHECK(session.tokens() == together.tokens());
    CHECK(logits_of(session) == logits_of(together));
    CHECK(session.draft(3, 2) == together.draft(3, 2));
  }
  Session empty(runtime);
  CHECK_THROWS_AS(empty.decode_on(1, nullptr), Error);
}

TEST_CASE("an interrupted prefill goes on where it was, to the same bits") {
  const auto runtime = load();
  const std::vector<TokenId> tokens = some_tokens(400);
  Session undisturbed(load());
  prefill(undisturbed, tokens);

  Session session(runtime);
  session.sync(tokens);
  std::atomic<bool> interrupt = false;
  std::size_t stages = 0;
  std::size_t interruptions = 0;
  for (Progress progress = Progress::more; progress != Progress::done; ++stages) {
    interrupt = stages % 2 == 0;
    progress = session.prefill(tokens, {}, &interrupt);
    if (interrupt) CHECK(progress == Progress::interrupted);
    if (progress == Progress::interrupted) ++interruptions;
  }
  CHECK(interruptions >= static_cast<std::size_t>(stage_count(runtime->engine().config())));
  CHECK(session.tokens_computed() == 400);
  CHECK(logits_of(session) == logits_of(undisturbed));
}

TEST_CASE("an interruption at any moment loses nothing") {
  const auto runtime = load();
  const std::vector<TokenId> tokens = some_tokens(400);
  Session undisturbed(load());
  prefill(undisturbed, tokens);
  REQUIRE(undisturbed.decode(9, nullptr) == Progress::done);

  Session session(runtime);
  session.sync(tokens);
  std::atomic<bool> interrupt = false;
  std::thread disturber([&] {  // ever more rarely, so that every stage gets its time in the end
    for (int pause = 50; pause < 20'000; pause += pause / 8 + 1) {
      interrupt = true;
      std::this_thread::yield();
      interrupt = false;
      std::this_thread::sleep_for(std::chrono::microseconds(pause));
    }
  });
  while (session.prefill(tokens, {}, &interrupt) != Progress::done) {
  }
  while (session.decode(9, &interrupt) != Progress::done) {
  }
  disturber.join();
  CHECK(session.tokens_computed() == 401);
  CHECK(logits_of(session) == logits_of(undisturbed));
}

TEST_CASE("a cancelled prompt's unfinished chunk is continued when the same tokens come again") {
  const auto runtime = load();
  const std::vector<TokenId> tokens = some_tokens(200);
  Session session(runtime);
  session.sync(tokens);
  for (int stage = 0; stage < 4; ++stage)
    REQUIRE(session.prefill(tokens, {}, nullptr) == Progress::more);
  const double done = session.prefill_done();
  CHECK(done > 0);

  CHECK(session.sync(tokens) == 0);
  CHECK(session.prefill_done() == done);
  int stages = 4;
  while (session.prefill(tokens, {}, nullptr) != Progress::done) ++stages;
  // The last one is followed by two checkpoints, one a step: before the end, and there.
  CHECK(stages + 1 == stage_count(runtime->engine().config()) + 2);

  SUBCASE("and dropped when others come") {
    Session other(load());
    other.sync(tokens);
    for (int stage = 0; stage < 4; ++stage)
      REQUIRE(other.prefill(tokens, {}, nullptr) == Progress::more);
    const std::vector<TokenId> different = some_tokens(60, 2);
    prefill(other, different);
    Session fresh(load());
    prefill(fresh, different);
    CHECK(logits_of(other) == logits_of(fresh));
  }
}

TEST_CASE("an interrupted decode changes nothing") {
  Session session(load());
  prefill(session, some_tokens(20));
  const std::vector<float> before = logits_of(session);
  const std::atomic<bool> interrupt = true;
  CHECK(session.decode(4, &interrupt) == Progress::interrupted);
  CHECK(session.tokens().size() == 20);
  CHECK(logits_of(session) == before);
}

TEST_CASE("KV in f16 stays close to f32") {
  EngineOptions options;
  options.kv = KvType::f16;
  const std::vector<TokenId> tokens = some_tokens(100);
  Session exact(load());
  Session half(load(options));
  prefill(exact, tokens);
  prefill(half, tokens);
  CHECK(logits_of(exact) != logits_of(half));
  for (std::size_t i = 0; i < exact.logits().size(); ++i) {
    CHECK(std::abs(exact.logits()[i] - half.logits()[i]) < 5e-2);
  }
}

}  // namespace hearth::tests
