// What a prompt costs that was seen before, in whole or in part: through sessions, across sessions
// and restarts, and to which bits.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "engine/engine.hpp"
#include "engine/forward/forward.hpp"
#include "engine/prefix/cache.hpp"
#include "tests/short_run.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

using Tokens = std::vector<TokenId>;
using Boundaries = std::vector<std::size_t>;

constexpr std::size_t length = HEARTH_SANITIZED ? 700 : 1500;
constexpr std::size_t distance = HEARTH_SANITIZED ? 128 : 256;

EngineOptions small() {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8-mtp-f16-scales";
  options.chunk = 512;
  options.mtp = MtpUse::always;  // its KV lies one position behind
  options.chunk = 512;
  options.checkpoint_distance = static_cast<std::int64_t>(distance);
  options.disk_min_seconds = 0;
  return options;
}

EngineOptions on_disk(const TemporaryDirectory& directory) {
  EngineOptions options = small();
  options.prefix_directory = directory.path() / "prefixes";
  return options;
}

Tokens some_tokens(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  Tokens tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 300);
  return tokens;
}

// Another token wherever [begin, end) is.
Tokens changed(Tokens tokens, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) tokens[i] = (tokens[i] + 7) % 300;
  return tokens;
}

struct Read {
  std::size_t computed = 0;
  std::vector<float> logits;
  std::vector<TokenId> drafted;
};

Read read(Session& session, const Tokens& tokens, const Boundaries& boundaries = {}) {
  const std::uint64_t before = session.tokens_computed();
  const std::size_t promised = session.common(tokens);
  CHECK(session.sync(tokens) == promised);
  while (session.prefill(tokens, boundaries, nullptr) != Progress::done) {
  }
  return {session.tokens_computed() - before,
          {session.logits().begin(), session.logits().end()},
          session.draft(tokens.back(), 3)};
}

// With a session that knows nothing: all that is not computed comes from checkpoints.
Read read(const std::shared_ptr<Runtime>& runtime, const Tokens& tokens,
          const Boundaries& boundaries = {}) {
  Session session(runtime);
  return read(session, tokens, boundaries);
}

bool close(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 1e-3F)) return false;
  return true;
}

}  // namespace

TEST_CASE("a prompt seen before computes nothing, by whichever session, also after a restart") {
  const TemporaryDirectory directory;
  const Tokens tokens = some_tokens(length);
  Read first;
  {
    const auto runtime = Runtime::load(on_disk(directory));
    first = read(runtime, tokens);
    CHECK(first.computed == length);
    const Read again = read(runtime, tokens);
    CHECK(again.computed == 0);
    CHECK(again.logits == first.logits);
    CHECK(again.drafted == first.drafted);
  }
  const auto runtime = Runtime::load(on_disk(directory));
  Session session(runtime);
  const Read restarted = read(session, tokens);
  CHECK(restarted.computed == 0);
  CHECK(restarted.logits == first.logits);
  CHECK(restarted.drafted == first.drafted);

  // What follows is computed from every row of the KV.
  const auto elsewhere = Runtime::load(small());
  Session undisturbed(elsewhere);
  read(undisturbed, tokens);
  for (const TokenId token : {5, 6, 7}) {
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    REQUIRE(undisturbed.decode(token, nullptr) == Progress::done);
    CHECK(std::ranges::equal(session.logits(), undisturbed.logits()));
  }
}

// The sizes are the same everywhere: with smaller ones, other rules decide what is kept.
TEST_CASE("a long prompt costs what its changes cost, with the defaults") {
  constexpr std::size_t total = 6000;
  constexpr std::size_t tail = 600;  // what differs
  constexpr std::size_t spacing = 512;
  const TemporaryDirectory directory;
  EngineOptions options = on_disk(directory);
  options.chunk = 0;
  options.checkpoint_distance = spacing;
  const Tokens tokens = some_tokens(total);
  const Boundaries boundaries{total / 30, total / 2, total - tail};
  std::shared_ptr<Runtime> runtime = Runtime::load(options);
  read(runtime, tokens, boundaries);
  // What a restart would find now: reading the prompt again for it would cost as much as the rest.
  const TemporaryDirectory restarted;
  runtime->prefixes().flush();
  std::filesystem::copy(directory.path() / "prefixes", restarted.path() / "prefixes");

  const auto computed = [&](const Tokens& prompt) {
    return read(runtime, prompt, boundaries).computed;
  };
  const auto check = [&] {
    CHECK(computed(tokens) == 0);
    CHECK(computed(changed(tokens, total - tail, total)) == tail);
    const std::size_t elsewhere = total - tail - 9;
    CHECK(computed(changed(tokens, elsewhere, total)) <= total - elsewhere + spacing);
    CHECK(computed(changed(tokens, total / 2 + 1, total / 2 + 2)) == total - total / 2);
  };
  check();
  Tokens typed = tokens;
  for (TokenId key = 0; key < 5; ++key) {
    typed = changed(typed, typed.size() - 2, typed.size());
    typed.push_back(key);
    CHECK(computed(typed) <= 32);
  }

  INFO("after a restart");
  runtime.reset();
  options.prefix_directory = restarted.path() / "prefixes";
  runtime = Runtime::load(options);
  check();
}

TEST_CASE("going back to a checkpoint can be interrupted, and nothing is lost") {
  const TemporaryDirectory directory;
  const Tokens tokens = some_tokens(length);
  const Read first = read(Runtime::load(on_disk(directory)), tokens);
  const auto runtime = Runtime::load(on_disk(directory));  // all of it is on disk alone
  const Tokens beginning(tokens.begin(), tokens.begin() + 100);
  std::atomic<bool> stop = true;

  Session session(runtime);
  SUBCASE("by a new session") {
    CHECK_FALSE(session.sync(tokens, &stop));
    CHECK(session.position() == 0);
  }
  SUBCASE("by one with another prompt, which is gone then") {
    read(session, changed(tokens, 50, length));
    CHECK_FALSE(session.sync(tokens, &stop));
    CHECK(session.position() == 0);
    CHECK(session.common(tokens) == length);
  }
  SUBCASE("by one that is on its way to it, which stays there") {
    read(session, beginning);
    const std::vector<float> logits(session.logits().begin(), session.logits().end());
    CHECK_FALSE(session.sync(tokens, &stop));
    CHECK(session.tokens() == beginning);
    CHECK(std::ranges::equal(session.logits(), logits));
  }
  SUBCASE("from memory, too") {
    read(runtime, tokens);
    CHECK_FALSE(session.sync(tokens, &stop));
  }
  SUBCASE("at any moment") {
    for (int i = 0; i < 30; ++i) {
      stop = false;
      std::thread interrupting([&] {
        std::this_thread::sleep_for(std::chrono::microseconds(i * 100));
        stop = true;
      });
      const auto kept = session.sync(tokens, &stop);
      interrupting.join();
      CHECK(kept.value_or(0) == session.tokens().size());
      session.sync(beginning);
    }
  }
  stop = false;
  CHECK(session.sync(tokens, &stop) == length);
  CHECK(std::ranges::equal(session.logits(), first.logits));
  CHECK(session.draft(tokens.back(), 3) == first.drafted);
  CHECK(read(session, tokens).computed == 0);
}

TEST_CASE("a damaged file costs tokens, never a wrong result") {
  const TemporaryDirectory directory;
  const Tokens tokens = some_tokens(length);
  const Read first = read(Runtime::load(on_disk(directory)), tokens);
  std::size_t files = 0;
  std::size_t misses = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path() / "prefixes")) {
    if (entry.path().extension() != ".prefix") continue;
    ++files;
    const TemporaryDirectory copy;
    std::filesystem::copy(directory.path() / "prefixes", copy.path() / "prefixes");
    std::fstream file(copy.path() / "prefixes" / entry.path().filename(),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2 * 4096 + 1).put('x').flush();  // of the KV
    const auto runtime = Runtime::load(on_disk(copy));
    Session session(runtime);
    REQUIRE(session.common(tokens) == length);
    const std::size_t kept = session.sync(tokens);
    misses += kept < length ? 1 : 0;
    CHECK(session.common(tokens) == kept);
    while (session.prefill(tokens, {}, nullptr) != Progress::done) {
    }
    CHECK(close({session.logits().begin(), session.logits().end()}, first.logits));
  }
  CHECK(files > 3);
  CHECK(misses == files);
}

TEST_CASE("checkpoints are kept one a step; an interruption between two loses none") {
  const auto runtime = Runtime::load(small());
  const Tokens tokens = some_tokens(2 * distance + 40);
  std::atomic<bool> stop = false;
  Session session(runtime);
  session.sync(tokens);
  const auto kept = [&] { return runtime->prefix_statistics().ram_checkpoints; };
  const Boundaries boundaries{40};
  const auto step = [&] { return session.prefill(tokens, boundaries, &stop); };
  while (session.position() < static_cast<std::int64_t>(tokens.size()))
    REQUIRE(step() == Progress::more);
  const std::size_t before = kept();  // of the chunks before the last
  CHECK(session.prefill_done() == static_cast<double>(tokens.size()));
  const std::size_t all = 5;  // the mark, two at the regular distance, before the end, the end
  REQUIRE(before + 2 <= all);
  CHECK(step() == Progress::more);
  CHECK(kept() == before + 1);
  stop = true;
  CHECK(step() == Progress::interrupted);
  CHECK(kept() == before + 1);
  SUBCASE("the prompt goes on") {
    stop = false;
    while (step() == Progress::more) CHECK(kept() < all);
  }
  SUBCASE("the session is given another prompt") {
    const Tokens other = some_tokens(50, 2);
    CHECK_FALSE(session.sync(other, &stop));
    CHECK(session.tokens() == tokens);
    CHECK(session.sync(other) == 0);
  }
  CHECK(kept() == all);
  CHECK(read(runtime, tokens).computed == 0);
}

TEST_CASE("a prompt whose end differs computes what is behind the boundary before it") {
  const std::size_t common = length - 600;
  const Tokens tokens = some_tokens(length);
  const Tokens other = changed(tokens, common, length);
  SUBCASE("a marked one") {
    const auto runtime = Runtime::load(small());
    read(runtime, tokens, {common});
    CHECK(read(runtime, other, {common}).computed == 600);
  }
  SUBCASE("one at the regular distance") {
    const auto runtime = Runtime::load(small());
    read(runtime, tokens);
    const std::size_t computed = read(runtime, other).computed;
    CHECK(computed >= 600);
    CHECK(computed <= 600 + distance);
  }
  SUBCASE("the same after a restart") {
    const TemporaryDirectory directory;
    read(Runtime::load(on_disk(directory)), tokens, {common});
    CHECK(read(Runtime::load(on_disk(directory)), other, {common}).computed == 600);
  }
}

TEST_CASE("an edit in the middle goes back to the last boundary before it") {
  const auto runtime = Runtime::load(small());
  const Tokens tokens = some_tokens(length);
  const Boundaries boundaries{40, 2 * distance + 100, 3 * distance - 1};
  read(runtime, tokens, boundaries);
  const auto from = [&](std::size_t at) {
    return length - read(runtime, changed(tokens, at, at + 1), boundaries).computed;
  };
  CHECK(from(3 * distance - 1) == 3 * distance - 1);
  CHECK(from(3 * distance - 2) == 2 * distance + 100);
  CHECK(from(2 * distance + 50) == 2 * distance);
  CHECK(from(distance - 1) == 40);
  CHECK(from(39) == 0);
}

TEST_CASE("typing at the end of a prompt computes a few tokens a key") {
  const auto runtime = Runtime::load(small());
  Session session(runtime);
  Tokens tokens = some_tokens(length);
  read(session, tokens);
  for (TokenId key = 0; key < 60; ++key) {
    // The last tokens are cut differently with every key, and every third adds one.
    tokens = changed(tokens, tokens.size() - 6, tokens.size());
    if (key % 3 == 0) tokens.insert(tokens.end() - 6, key);
    CHECK(read(session, tokens).computed <= 32);
    REQUIRE(session.decode(key, nullptr) == Progress::done);  // and something is completed
  }
  CHECK(close(read(runtime, tokens).logits, read(Runtime::load(small()), tokens).logits));
}

TEST_CASE("what goes on from a checkpoint is what had gone on undisturbed") {
  const Tokens tokens = some_tokens(length);
  const auto check = [&](std::size_t at, const Boundaries& boundaries, bool to_the_bit) {
    CAPTURE(at);
    const auto runtime = Runtime::load(small());
    read(runtime, tokens, boundaries);
    const Tokens other = changed(tokens, at, at + 20);
    const Read restored = read(runtime, other);
    CHECK(restored.computed < length);
    const Read undisturbed = read(Runtime::load(small()), other);
    CHECK(undisturbed.computed == length);
    CHECK(close(restored.logits, undisturbed.logits));
    if (to_the_bit) CHECK(restored.logits == undisturbed.logits);
    if (to_the_bit) CHECK(restored.drafted == undisturbed.drafted);
  };
  check(distance + 5, {}, true);
  check(2 * distance + 300, {2 * distance + 64}, true);
  check(2 * distance + 300, {2 * distance + 77}, false);
  check(300, {1, 130}, false);
}

TEST_CASE("rows that a session has are not lost when it goes back and forth") {
  const auto runtime = Runtime::load(small());
  const auto elsewhere = Runtime::load(small());
  Session session(runtime);
  Tokens tokens = some_tokens(length);
  read(session, tokens, {200, 400});
  std::mt19937 random(5);
  for (int i = 0; i < 20; ++i) {
    const std::size_t at = random() % length;
    Tokens other = changed(tokens, at, std::min(at + 50, length));
    if (i % 4 == 0) other.resize(at + 1);
    const Read here = read(session, other, {200, 400});
    if (i % 4 == 1) REQUIRE(session.decode(3, nullptr) == Progress::done);
    Session fresh(runtime);
    fresh.sync(other);
    CHECK(fresh.position() == static_cast<std::int64_t>(other.size()));
    CHECK(here.logits == std::vector<float>(fresh.logits().begin(), fresh.logits().end()));
    if (i % 2 == 0) tokens = other.size() == length ? other : tokens;
  }
  CHECK(close(read(session, tokens).logits, read(elsewhere, tokens).logits));
}

TEST_CASE("a small budget costs tokens, never a wrong result, and is kept") {
  const Tokens tokens = some_tokens(length);
  const std::vector<float> expected = read(Runtime::load(small()), tokens, {300}).logits;
  for (const std::uint64_t bytes : {0, 100'000, 1'000'000, 3'000'000}) {
    if (is_short_run() && bytes != 100'000) continue;
    CAPTURE(bytes);
    EngineOptions options = small();
    options.prefix_ram_bytes = bytes;
    const auto runtime = Runtime::load(options);
    Session session(runtime);
    for (const std::size_t at : {length, length / 2, length / 3, length}) {
      const Read got = read(session, changed(tokens, at, length), {300});
      if (at == length) CHECK(close(got.logits, expected));
      CHECK(runtime->prefix_statistics().ram_bytes <= bytes);
    }
  }
}

TEST_CASE("of an unfinished chunk and a checkpoint, the one that is further is gone on with") {
  const Tokens tokens = some_tokens(length);
  const Tokens beginning(tokens.begin(), tokens.begin() + 150);
  const auto runtime = Runtime::load(small());
  Session session(runtime);
  session.sync(tokens);
  const auto advance_to = [&](double rows) {
    while (session.prefill_done() < rows)
      REQUIRE(session.prefill(tokens, {}, nullptr) == Progress::more);
    CHECK(session.position() == 0);  // the first chunk is not done
  };
  SUBCASE("the chunk") {
    advance_to(400);
    read(runtime, beginning);
    CHECK(session.sync(tokens) == 0);
    CHECK(session.prefill_done() >= 400);
  }
  SUBCASE("the checkpoint") {
    advance_to(1);
    read(runtime, beginning);
    CHECK(session.sync(tokens) == 150);
  }
}

TEST_CASE("keep makes a checkpoint of what was computed token by token") {
  const auto runtime = Runtime::load(small());
  Session session(runtime);
  Tokens tokens = some_tokens(100);
  read(session, tokens);
  for (TokenId token = 0; token < 20; ++token) {
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    tokens.push_back(token);
  }
  CHECK(runtime->cached_prefix(tokens) == 100);
  session.keep();
  CHECK(runtime->cached_prefix(tokens) == 120);
  Session other(runtime);
  CHECK(other.sync(tokens) == 120);
  CHECK(std::ranges::equal(other.logits(), session.logits()));
}

}  // namespace hearth::tests
