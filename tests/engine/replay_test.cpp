// Sessions that go on inside an answer: from which states, and with which bits.
#include <doctest/doctest.h>

#include <atomic>
#include <span>
#include <string>

#include "tests/engine/resume_runs.hpp"

namespace hearth::tests {

using namespace engine;

namespace {

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

}  // namespace

TEST_CASE("what was written before is computed again with the bits that decoding gave it") {
  constexpr std::size_t prompt = 150;
  constexpr std::size_t total = HEARTH_SANITIZED ? 220 : 700;  // several pieces
  for (const std::string name : {"fp8-mtp-f16-scales", "bf16-mtp-single", "fp8-odd-bf16-scales"}) {
    CAPTURE(name);
    EngineOptions options = resumed_golden(name);
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
  const auto runtime = Runtime::load(resumed_golden("fp8-mtp-f16-scales"));
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
  const auto elsewhere = Runtime::load(resumed_golden("fp8-mtp-f16-scales"));
  Session unbroken(elsewhere);
  write(unbroken, all, prompt);
  const auto runtime = Runtime::load(resumed_golden("fp8-mtp-f16-scales"));
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
  const auto runtime = Runtime::load(resumed_golden("fp8-mtp-f16-scales"));
  Session other(runtime);
  write(other, all, 100);
  other.keep();
  CHECK(runtime->cached_prefix(all) == 300);
  Session session(runtime);
  CHECK(session.sync(all, 200, nullptr) == 100);
  CHECK(session.sync(all, 100, nullptr) == 300);
}

}  // namespace hearth::tests
