// How much of an answer or a prompt is computed again where its process is killed, and what the
// checkpoints for that cost.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>

#include "engine/prefix/cache.hpp"
#include "tests/engine/resume_runs.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

using namespace engine;

TEST_CASE("of an answer whose process is killed at any token little is computed again") {
  const TemporaryDirectory directory;
  const EngineOptions options = often(resumed_ember(), directory);
  std::shared_ptr<Runtime> runtime = Runtime::load(options);
  for (const float temperature : {0.0F, 0.9F}) {
    GenerationRequest request = explain_request(runtime->engine());
    request.sampling.temperature = temperature;
    request.sampling.seed = 3;
    request.checkpoints = true;
    request.max_tokens = 24;
    const Run whole = run(Runtime::load(resumed_ember()), request);
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
        const auto restarted = Runtime::load(often(resumed_ember(), copy));
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
  const auto runtime = Runtime::load(often(resumed_ember(), directory));
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
  EngineOptions options = often(resumed_ember(), directory);
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
  EngineOptions options = often(resumed_ember(), directory);
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
  EngineOptions options = resumed_golden("fp8-mtp-f16-scales");
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
  EngineOptions options = resumed_golden("fp8-mtp-f16-scales");
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
