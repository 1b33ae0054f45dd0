// What the tree of checkpoints finds, holds once, gives up and brings back; with a model that
// computes nothing (model.hpp), so that every byte can be checked.
#include "engine/prefix/cache.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <atomic>
#include <random>

#include "engine/prefix/positions.hpp"
#include "tests/engine/prefix/model.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

const PrefixLayout layout = small_layout();

PrefixOptions in_ram(std::uint64_t bytes = 1 << 20) {
  PrefixOptions options;
  options.ram_bytes = bytes;
  return options;
}

PrefixOptions on_disk(const TemporaryDirectory& directory) {
  PrefixOptions options = in_ram();
  options.directory = directory.path() / "prefixes";
  options.disk_bytes = 1 << 30;
  options.daily_bytes = 1 << 30;
  return options;
}

Tokens numbers(TokenId from, TokenId to) {
  Tokens tokens(static_cast<std::size_t>(to - from));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void add(PrefixCache& cache, const Tokens& tokens, std::size_t position,
         CheckpointKind kind = CheckpointKind::regular) {
  cache.add(checkpoint_of(layout, std::span(tokens).first(position), kind));
}

// A prompt as a session computes it: checkpoints in rising order, then the end.
void compute(PrefixCache& cache, const Tokens& tokens, const std::vector<std::size_t>& boundaries) {
  for (const std::size_t boundary : boundaries)
    add(cache, tokens, boundary, CheckpointKind::boundary);
  add(cache, tokens, tokens.size(), CheckpointKind::end);
}

// How far the cache leads; what it gives is checked.
std::size_t taken(PrefixCache& cache, const Tokens& tokens, std::size_t kv_from = 0) {
  const std::size_t found = cache.find(tokens);
  const auto restored = cache.take(tokens, 0, kv_from, {}, nullptr);
  if (restored->position == 0) return 0;
  CHECK(is_right(layout, *restored, tokens, static_cast<std::int64_t>(kv_from)));
  CHECK(static_cast<std::size_t>(restored->position) <= found);
  return static_cast<std::size_t>(restored->position);
}

std::uint64_t bytes_for(std::size_t tokens, std::size_t states, std::size_t logits = 0) {
  return tokens * (2 * layout.caches * layout.row_bytes + sizeof(TokenId)) +
         states * (layout.state_bytes() + layout.hidden * sizeof(float)) +
         logits * layout.vocab * sizeof(float);
}

}  // namespace

TEST_CASE("the longest prefix that has a checkpoint is found") {
  PrefixCache cache(in_ram(), layout, 1);
  const Tokens tokens = numbers(0, 200);
  CHECK(taken(cache, tokens) == 0);
  compute(cache, tokens, {50, 120});
  CHECK(taken(cache, tokens) == 200);
  CHECK(taken(cache, numbers(0, 300)) == 200);
  CHECK(taken(cache, numbers(0, 199)) == 120);
  CHECK(taken(cache, numbers(0, 130) + numbers(900, 950)) == 120);
  CHECK(taken(cache, numbers(0, 119) + numbers(900, 950)) == 50);
  CHECK(taken(cache, numbers(0, 49)) == 0);
  CHECK(taken(cache, numbers(1, 100)) == 0);
}

TEST_CASE("a prompt that ends at a checkpoint needs logits there") {
  PrefixCache cache(in_ram(), layout, 1);
  const Tokens tokens = numbers(0, 100);
  add(cache, tokens, 60);
  add(cache, tokens, 100);
  CHECK(taken(cache, tokens) == 60);
  CHECK(taken(cache, numbers(0, 101)) == 100);
  add(cache, tokens, 100, CheckpointKind::end);
  CHECK(taken(cache, tokens) == 100);
}

TEST_CASE("KV that the session has already is not handed out again") {
  PrefixCache cache(in_ram(), layout, 1);
  const Tokens tokens = numbers(0, 100);
  compute(cache, tokens, {30, 60});
  for (const std::size_t kv_from : {0u, 1u, 29u, 30u, 31u, 75u, 99u, 100u})
    CHECK(taken(cache, tokens, kv_from) == 100);
  CHECK(cache.take(tokens, 0, 75, {}, nullptr)->spans.size() == 1);
  CHECK(cache.take(tokens, 0, 100, {}, nullptr)->spans.empty());
  CHECK(cache.take(tokens, 100, 0, {}, nullptr)->position == 0);
}

TEST_CASE("KV that checkpoints share is held once, wherever their prompts part") {
  PrefixCache cache(in_ram(), layout, 1);
  compute(cache, numbers(0, 200), {50});
  // The MTP head's KV lies one behind: one row fewer in all.
  const std::uint64_t last_row = 2 * layout.row_bytes;
  CHECK(cache.statistics().ram_bytes == bytes_for(200, 2, 1) - last_row);

  SUBCASE("behind a checkpoint") {
    compute(cache, numbers(0, 50) + numbers(900, 930), {});
    CHECK(cache.statistics().ram_bytes == bytes_for(230, 3, 2) - last_row);
  }
  SUBCASE("between two") {
    const Tokens other = numbers(0, 120) + numbers(900, 930);
    compute(cache, other, {140});
    CHECK(cache.statistics().ram_bytes == bytes_for(230, 4, 2) - last_row);
    CHECK(taken(cache, other) == 150);
    CHECK(taken(cache, numbers(0, 120) + numbers(900, 921)) == 140);
    CHECK(taken(cache, numbers(0, 200)) == 200);
  }
  SUBCASE("where one is a part of the other") {
    compute(cache, numbers(0, 120), {});
    CHECK(cache.statistics().ram_bytes == bytes_for(200, 3, 2) - last_row);
    CHECK(taken(cache, numbers(0, 120)) == 120);
  }
  SUBCASE("and a checkpoint that is known costs nothing") {
    const std::uint64_t before = cache.statistics().ram_bytes;
    compute(cache, numbers(0, 200), {50});
    CHECK(cache.statistics().ram_bytes == before);
  }
}

TEST_CASE("the budget is kept; what is rarely used and cheap to compute goes first") {
  const std::uint64_t budget = bytes_for(700, 8, 8);
  PrefixCache cache(in_ram(budget), layout, 1);
  const Tokens valued = numbers(0, 300);
  compute(cache, valued, {150});
  for (TokenId i = 0; i < 100; ++i) {
    compute(cache, numbers(1000 * (i + 1), 1000 * (i + 1) + 80), {});
    CHECK(cache.statistics().ram_bytes <= budget);
    CHECK(taken(cache, valued) == 300);
  }
  CHECK(taken(cache, numbers(100'000, 100'080)) == 80);
  CHECK(taken(cache, numbers(1000, 1080)) == 0);

  SUBCASE("and in the end what is not used any more") {
    for (TokenId i = 200; i < 2000; ++i) compute(cache, numbers(1000 * i, 1000 * i + 80), {});
    CHECK(taken(cache, valued) == 0);
  }
}

TEST_CASE("an inner checkpoint that goes leaves its KV to those that stand on it") {
  // Room for three of the four states.
  PrefixCache cache(in_ram(bytes_for(400, 3, 1) + layout.state_bytes() / 2), layout, 1);
  const Tokens tokens = numbers(0, 400);
  add(cache, tokens, 20);
  add(cache, tokens, 200, CheckpointKind::boundary);
  compute(cache, tokens, {380});
  CHECK(taken(cache, tokens) == 400);
  CHECK(taken(cache, numbers(0, 30)) == 0);
  CHECK(taken(cache, numbers(0, 390)) == 380);
}

TEST_CASE("what is larger than the budget is not kept, and pushes nothing out") {
  PrefixCache cache(in_ram(bytes_for(100, 2, 2)), layout, 1);
  compute(cache, numbers(0, 40), {});
  compute(cache, numbers(500, 1500), {});
  CHECK(taken(cache, numbers(500, 1500)) == 0);
  CHECK(taken(cache, numbers(0, 40)) == 40);

  PrefixCache none(in_ram(0), layout, 1);
  compute(none, numbers(0, 40), {20});
  CHECK(taken(none, numbers(0, 40)) == 0);
  CHECK(none.reserve_states(3) == 0);
}

TEST_CASE("states under way in a chunk count") {
  const std::uint64_t budget = bytes_for(200, 8);
  PrefixCache cache(in_ram(budget), layout, 1);
  compute(cache, numbers(0, 200), {50, 100, 150});
  const std::size_t granted = cache.reserve_states(100);
  CHECK(granted == budget / 2 / layout.state_bytes());
  CHECK(cache.statistics().ram_bytes <= budget);
  cache.release_states(granted);
  CHECK(cache.reserve_states(1) == 1);
}

TEST_CASE("a new process finds what the old one wrote") {
  const TemporaryDirectory directory;
  const Tokens tokens = numbers(0, 500);
  const Tokens other = numbers(0, 230) + numbers(900, 1200);
  {
    PrefixCache cache(on_disk(directory), layout, 1);
    compute(cache, tokens, {100, 300});
    cache.persist(tokens, 500);
    compute(cache, other, {400});
    cache.persist(other, 300);
  }
  PrefixCache cache(on_disk(directory), layout, 1);
  CHECK(cache.statistics().ram_bytes == 0);
  CHECK(cache.statistics().disk_checkpoints == 5);
  CHECK(cache.find(tokens) == 500);
  for (int again = 0; again < 2; ++again) {  // from disk, then from RAM
    CHECK(taken(cache, numbers(0, 310)) == 300);
    CHECK(taken(cache, tokens) == 500);
    CHECK(taken(cache, tokens, 250) == 500);
    CHECK(taken(cache, other) == 530);
    CHECK(taken(cache, numbers(0, 230) + numbers(900, 1100)) == 400);
    CHECK(taken(cache, numbers(0, 120)) == 100);
  }
  CHECK(cache.statistics().ram_bytes > 0);

  SUBCASE("but not under another fingerprint or form of state") {
    cache.flush();
    PrefixLayout without = layout;
    without.mtp = false;
    const TemporaryDirectory copy;
    std::filesystem::copy(directory.path() / "prefixes", copy.path() / "prefixes");
    CHECK(PrefixCache(on_disk(copy), layout, 2).find(tokens) == 0);
    CHECK(PrefixCache(on_disk(copy), without, 1).find(tokens) == 0);
    CHECK(PrefixCache(on_disk(copy), layout, 1).find(tokens) == 500);
  }
}

TEST_CASE("a restoration that is interrupted gives nothing, and can begin again") {
  const TemporaryDirectory directory;
  const Tokens tokens = numbers(0, 500);
  {
    PrefixCache cache(on_disk(directory), layout, 1);
    compute(cache, tokens, {100, 300});
    cache.persist(tokens, 500);
  }
  PrefixCache cache(on_disk(directory), layout, 1);
  std::atomic<bool> stop = false;
  const auto stopping = [&](const PrefixCache::Restored& found) {
    CHECK(found.position == 500);
    stop = true;
    return StateRestore();
  };
  for (std::uint64_t hits = 0; hits < 2; ++hits) {  // from disk, then from RAM
    stop = false;
    const std::uint64_t ram_bytes = cache.statistics().ram_bytes;
    CHECK_FALSE(cache.take(tokens, 0, 0, stopping, &stop));
    CHECK(cache.statistics().hits == hits);
    CHECK(cache.statistics().ram_bytes == ram_bytes);
    CHECK(taken(cache, tokens) == 500);
  }
}

TEST_CASE("a checkpoint that is interrupted is not kept, and can be added again") {
  PrefixCache cache(in_ram(), layout, 1);
  const Tokens tokens = numbers(0, 100);
  PrefixCache::Checkpoint checkpoint = checkpoint_of(layout, tokens, CheckpointKind::end);
  checkpoint.kv = [kv = checkpoint.kv](std::int64_t begin, std::int64_t end,
                                       const std::atomic<bool>* interrupt) {
    return *interrupt ? StateSnapshot() : kv(begin, end, interrupt);
  };
  std::atomic<bool> stop = true;
  CHECK_FALSE(cache.add(checkpoint, &stop));
  CHECK(cache.find(tokens) == 0);
  CHECK(cache.statistics().ram_bytes == 0);
  stop = false;
  CHECK(cache.add(checkpoint, &stop));
  CHECK(taken(cache, tokens) == 100);
}

TEST_CASE("a state on disk is read back when RAM has dropped it") {
  const TemporaryDirectory directory;
  PrefixOptions options = on_disk(directory);
  options.ram_bytes = bytes_for(1200, 6, 6);
  PrefixCache cache(options, layout, 1);
  const Tokens tokens = numbers(0, 300);
  compute(cache, tokens, {});
  cache.persist(tokens, 300);
  cache.flush();
  for (TokenId i = 1; i < 20; ++i) compute(cache, numbers(1000 * i, 1000 * i + 300), {});
  CHECK(taken(cache, tokens) == 300);
  CHECK(cache.statistics().ram_bytes <= options.ram_bytes);
}

TEST_CASE("only what takes seconds to compute is written, and nothing for a keystroke") {
  const TemporaryDirectory directory;
  PrefixOptions options = on_disk(directory);
  options.disk_min_seconds = 3;
  PrefixCache cache(options, layout, 1);
  cache.measured(100, 1.0);  // 100 tokens a second: 300 tokens are worth it
  Tokens tokens = numbers(0, 250);
  compute(cache, tokens, {});
  cache.persist(tokens, 250);
  cache.flush();
  CHECK(cache.statistics().disk_bytes == 0);

  tokens = numbers(0, 250) + numbers(1000, 1400);
  for (const std::size_t at : {300u, 400u, 500u, 600u}) add(cache, tokens, at);
  add(cache, tokens, 634, CheckpointKind::before_end);
  add(cache, tokens, 650, CheckpointKind::end);
  cache.persist(tokens, 400);
  cache.flush();
  CHECK(cache.statistics().disk_checkpoints == 3);  // 300, 600 and the end

  const std::uint64_t before = cache.statistics().disk_bytes;
  for (int key = 0; key < 30; ++key) {
    tokens.back() += 5000;
    tokens.push_back(key);
    add(cache, tokens, tokens.size() - 16, CheckpointKind::before_end);
    add(cache, tokens, tokens.size(), CheckpointKind::end);
    cache.persist(tokens, 17);
  }
  cache.measured(1, 1000);  // however slow
  cache.persist(tokens, 17);
  cache.flush();
  CHECK(cache.statistics().disk_bytes == before);
}

TEST_CASE("a durable prompt's checkpoints are written at a pace, in half of a day's bytes") {
  const TemporaryDirectory directory;
  PrefixOptions options = on_disk(directory);
  options.disk_min_seconds = 3;
  options.answer_seconds = 1;
  options.answer_bytes = 1 << 30;
  const Tokens tokens = numbers(0, 250);
  SUBCASE("a second's work, or what may be written at all, if that is less") {
    PrefixCache cache(options, layout, 1);
    cache.measured(100, 1.0);
    CHECK_FALSE(cache.prompt_due(std::span(tokens).first(99)));
    CHECK(cache.prompt_due(std::span(tokens).first(100)));
    add(cache, tokens, 100);
    CHECK(cache.secure(std::span(tokens).first(100), nullptr));
    CHECK(cache.statistics().disk_checkpoints == 1);
    CHECK_FALSE(cache.prompt_due(std::span(tokens).first(100)));  // it is there
    CHECK_FALSE(cache.prompt_due(std::span(tokens).first(199)));
    CHECK(cache.prompt_due(std::span(tokens).first(200)));
    options.disk_min_seconds = 0;
    const TemporaryDirectory another;
    options.directory = another.path() / "prefixes";
    PrefixCache eager(options, layout, 1);
    eager.measured(100, 1.0);
    CHECK(eager.prompt_due(std::span(tokens).first(keystroke_tokens)));
    CHECK_FALSE(eager.prompt_due(std::span(tokens).first(keystroke_tokens - 1)));
  }
  SUBCASE("so many bytes a second") {
    const std::uint64_t bytes = bytes_for(100, 1);
    options.answer_bytes = bytes / 2;
    PrefixCache cache(options, layout, 1);
    cache.measured(100, 1.0);
    CHECK_FALSE(cache.prompt_due(std::span(tokens).first(100)));
    options.answer_bytes = bytes;
    const TemporaryDirectory another;
    options.directory = another.path() / "prefixes";
    PrefixCache faster(options, layout, 1);
    faster.measured(100, 1.0);
    CHECK(faster.prompt_due(std::span(tokens).first(100)));
  }
  SUBCASE("not the other half of a day's bytes") {
    options.daily_bytes = 1 << 20;
    PrefixCache cache(options, layout, 1);
    cache.measured(1, 1000.0);
    const Tokens many = numbers(0, 64'000);
    std::size_t end = 64;
    for (; end < many.size() && cache.prompt_due(std::span(many).first(end)); end += 64) {
      add(cache, many, end);
      CHECK(cache.secure(std::span(many).first(end), nullptr));
    }
    CHECK(end < many.size());
    CHECK(cache.statistics().disk_checkpoints > 1);
    CHECK(cache.statistics().written_today < options.daily_bytes);
  }
  SUBCASE("none where answers have none") {
    options.answer_seconds = 0;
    PrefixCache cache(options, layout, 1);
    cache.measured(100, 100.0);
    add(cache, tokens, 100);
    CHECK(cache.secure(std::span(tokens).first(100), nullptr));
    CHECK(cache.statistics().disk_bytes == 0);
  }
}

TEST_CASE("what is secured is on disk before the next tokens, and who waits goes before it") {
  const TemporaryDirectory directory;
  PrefixOptions options = on_disk(directory);
  options.answer_seconds = 1;
  options.answer_bytes = 1 << 30;
  std::atomic<bool> stuck = true;
  options.write = [&stuck](int file, const void* data, std::size_t bytes) {
    stuck.wait(true);
    return ::write(file, data, bytes);
  };
  const Tokens tokens = numbers(0, 250);
  PrefixCache cache(options, layout, 1);
  cache.measured(1, 1.0);
  add(cache, tokens, 100);
  const std::atomic<bool> interrupt = true;
  CHECK_FALSE(cache.secure(std::span(tokens).first(100), &interrupt));
  CHECK(cache.statistics().disk_checkpoints == 0);
  CHECK(cache.secure(std::span(tokens).first(100), nullptr));  // a disk that hangs stops nothing
  CHECK(cache.statistics().disk_checkpoints == 0);
  stuck = false;
  stuck.notify_all();
  CHECK(cache.secure(std::span(tokens).first(100), nullptr));
  CHECK(cache.statistics().disk_checkpoints == 1);
  CHECK(cache.secure(tokens, nullptr));  // there is none of it
}

TEST_CASE("where not all can be written, the end of the prompt is, then boundaries") {
  const TemporaryDirectory directory;
  const Tokens tokens = numbers(0, 600);
  PrefixOptions options = on_disk(directory);
  options.ram_bytes = 340'000;  // half of it may wait to be written: the KV and three states
  {
    PrefixCache cache(options, layout, 1);
    add(cache, tokens, 70, CheckpointKind::boundary);
    for (const std::size_t at : {100u, 200u}) add(cache, tokens, at);
    add(cache, tokens, 300, CheckpointKind::boundary);
    for (const std::size_t at : {400u, 500u}) add(cache, tokens, at);
    add(cache, tokens, 600, CheckpointKind::end);
    cache.persist(tokens, 600);
  }
  PrefixCache cache(options, layout, 1);
  CHECK(cache.statistics().disk_checkpoints == 3);
  CHECK(taken(cache, tokens) == 600);
  CHECK(taken(cache, numbers(0, 599)) == 300);
  CHECK(taken(cache, numbers(0, 299)) == 70);
}

TEST_CASE("of a long prompt's checkpoints those stay that lie the closer, the nearer to its end") {
  constexpr std::size_t length = 6400;
  constexpr std::size_t distance = 512;
  PrefixCache cache(in_ram(bytes_for(length, 8, 1)), layout, 1);
  const Tokens tokens = numbers(0, length);
  for (std::size_t at = distance; at < length; at += distance) add(cache, tokens, at);
  add(cache, tokens, length, CheckpointKind::end);
  CHECK(taken(cache, tokens) == length);
  for (std::size_t at = length - 1; at > distance; at -= 100) {
    const std::size_t rest = length - at;  // computed anyway by a prompt that parts here
    const std::size_t kept =
        cache.find(Tokens(tokens.begin(), tokens.end() - static_cast<long>(rest)));
    CAPTURE(at);
    CHECK(at - kept <= std::max(rest, distance));
  }
}

TEST_CASE("the disk's budget is kept; what was used longest ago goes") {
  const TemporaryDirectory directory;
  PrefixOptions options = on_disk(directory);
  const auto prompt = [](TokenId i) { return numbers(1000 * i, 1000 * i + 300); };
  {
    PrefixCache cache(options, layout, 1);
    for (TokenId i = 0; i < 4; ++i) {
      compute(cache, prompt(i), {150});
      cache.persist(prompt(i), 300);
    }
    cache.flush();
    options.disk_bytes = cache.statistics().disk_bytes;
    CHECK(taken(cache, prompt(0)) == 300);
  }
  {
    PrefixCache cache(options, layout, 1);
    CHECK(taken(cache, prompt(0)) == 300);
    for (TokenId i = 4; i < 6; ++i) {
      compute(cache, prompt(i), {150});
      cache.persist(prompt(i), 300);
      cache.flush();
      CHECK(cache.statistics().disk_bytes <= options.disk_bytes);
    }
  }
  PrefixCache cache(options, layout, 1);
  CHECK(cache.find(prompt(0)) == 300);
  CHECK(cache.find(prompt(5)) == 300);
  CHECK(cache.find(prompt(4)) == 300);
  // Two of the other three made room. Which, is decided by their files' times, which may be equal.
  std::size_t left = 0;
  for (TokenId i = 1; i < 4; ++i) left += cache.find(prompt(i));
  CHECK(left <= 450);

  SUBCASE("a smaller budget holds from the start; another checkpoint's files count") {
    cache.flush();
    const TemporaryDirectory copy;
    std::filesystem::copy(directory.path() / "prefixes", copy.path() / "prefixes");
    PrefixOptions smaller = on_disk(copy);
    smaller.disk_bytes = options.disk_bytes / 2;
    for (const std::uint64_t fingerprint : {1u, 2u}) {
      PrefixCache again(smaller, layout, fingerprint);
      CHECK(again.statistics().disk_bytes <= smaller.disk_bytes);
      CHECK(again.statistics().disk_bytes > 0);
    }
  }
}

TEST_CASE("the day's bytes are kept, across restarts too") {
  const TemporaryDirectory directory;
  std::int64_t day = 20'000;
  PrefixOptions options = on_disk(directory);
  options.today = [&day] { return day; };
  const auto prompt = [](TokenId i) { return numbers(1000 * i, 1000 * i + 300); };
  const auto write = [&](TokenId i) {
    PrefixCache cache(options, layout, 1);
    compute(cache, prompt(i), {});
    cache.persist(prompt(i), 300);
    cache.flush();
    CHECK(cache.statistics().written_today <= options.daily_bytes);
    return cache.statistics().disk_checkpoints;
  };
  CHECK(write(0) == 1);
  options.daily_bytes = PrefixCache(options, layout, 1).statistics().written_today * 2;
  CHECK(write(1) == 2);
  CHECK(write(2) == 2);
  ++day;
  CHECK(write(2) == 3);
}

TEST_CASE("two caches never share a directory") {
  const TemporaryDirectory directory;
  std::vector<std::string> notes;
  PrefixOptions options = on_disk(directory);
  options.note = [&](const std::string& note) { notes.push_back(note); };
  const auto first = std::make_unique<PrefixCache>(options, layout, 1);
  CHECK(notes.empty());
  PrefixCache second(options, layout, 1);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("in use by another process") != std::string::npos);
  CHECK_FALSE(second.statistics().disk);
  compute(second, numbers(0, 100), {});
  second.persist(numbers(0, 100), 100);
  CHECK(taken(second, numbers(0, 100)) == 100);
}

TEST_CASE("a thousand random prompts: always right, always within the budgets") {
  const TemporaryDirectory directory;
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  PrefixOptions options = on_disk(directory);
  options.ram_bytes = bytes_for(2000, 30, 10);
  options.disk_bytes = 1'500'000;
  auto cache = std::make_unique<PrefixCache>(options, layout, 1);
  std::vector<Tokens> prompts{numbers(0, 300)};
  std::size_t served = 0;
  for (int i = 0; i < 1000; ++i) {
    Tokens tokens = prompts[below(prompts.size())];
    tokens.resize(below(tokens.size() + 1));
    for (std::size_t more = below(300) + 1; more > 0; --more)
      tokens.push_back(static_cast<TokenId>(below(4)));
    tokens.resize(std::min<std::size_t>(tokens.size(), 700));
    const std::size_t kept = taken(*cache, tokens, below(3) == 0 ? below(tokens.size()) : 0);
    served += kept > 0 ? 1 : 0;
    for (std::size_t at = kept + 1 + below(200); at < tokens.size(); at += 1 + below(200)) {
      add(*cache, tokens, at, static_cast<CheckpointKind>(below(3)));
      CHECK(cache->statistics().ram_bytes <= options.ram_bytes);
    }
    add(*cache, tokens, tokens.size(), CheckpointKind::end);
    if (below(3) == 0) cache->persist(tokens, tokens.size() - kept);
    CHECK(cache->statistics().ram_bytes <= options.ram_bytes);
    CHECK(cache->statistics().disk_bytes <= options.disk_bytes);
    if (prompts.size() < 50) prompts.emplace_back();
    prompts[below(prompts.size())] = tokens;
    if (below(50) == 0) {
      cache.reset();
      cache = std::make_unique<PrefixCache>(options, layout, 1);
    }
  }
  CHECK(served > 250);
  std::uint64_t bytes = 0;
  cache->flush();
  for (const auto& file : std::filesystem::directory_iterator(options.directory))
    if (file.path().extension() == ".prefix") bytes += file.file_size();
  CHECK(bytes == cache->statistics().disk_bytes);
}

}  // namespace hearth::tests
