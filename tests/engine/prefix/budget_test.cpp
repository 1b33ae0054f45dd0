// What of the published shapes' checkpoints stays under the default budget, in tokens to be
// computed again. In thousandths of their size, with content that nobody looks at.
#include <doctest/doctest.h>

#include <numeric>
#include <optional>

#include "engine/dummy/dummy.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/prefix/positions.hpp"
#include "engine/support/memory.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

using Tokens = std::vector<TokenId>;
using Boundaries = std::vector<std::size_t>;

constexpr std::size_t scale = 1024;
constexpr std::size_t distance = 512;
constexpr std::size_t chunk = 4096;  // rows of the default scratch
constexpr std::size_t total = 6000;
constexpr std::size_t tail = 600;  // what differs

PrefixLayout scaled() {
  PrefixLayout layout = PrefixLayout::of(published_config(48, 512), KvType::f32, false);
  layout.row_bytes /= scale;
  for (std::size_t& part : layout.state_parts) part /= scale;
  layout.hidden /= scale;
  layout.vocab /= scale;
  return layout;
}

StateSnapshot zeros(const std::vector<std::size_t>& sizes) {
  const std::size_t bytes = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  return split_block(std::make_shared<HostBlock>(bytes), sizes);
}

Tokens prompt() {
  Tokens tokens(total);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

Tokens changed(Tokens tokens, std::size_t from) {
  for (std::size_t i = from; i < tokens.size(); ++i) tokens[i] += 100'000;
  return tokens;
}

// Computes prompts as a session does, and counts.
struct Reader {
  explicit Reader(std::uint64_t free_memory) {
    PrefixOptions options;
    options.ram_bytes = default_prefixes({.available = free_memory}) / scale;
    cache.emplace(options, layout, 1);
  }

  std::size_t computed(const Tokens& tokens) {
    const auto from = static_cast<std::size_t>(cache->take(tokens, 0, 0, {}, nullptr)->position);
    const std::size_t known = cache->find(std::span(tokens).first(tokens.size() - before_end_min));
    for (std::size_t begin = from; begin < tokens.size();) {
      const std::size_t end = std::min(begin / 64 * 64 + chunk, tokens.size());
      const PositionRange range{from, begin, end, tokens.size()};
      std::vector<CheckpointPosition> chosen = wanted_positions(range, boundaries, distance, known);
      const std::size_t granted = cache->reserve_states(chosen.size());
      limit_positions(chosen, granted, range);
      cache->release_states(granted);
      for (const CheckpointPosition& each : chosen) keep(tokens, each);
      begin = end;
    }
    return tokens.size() - from;
  }

  void keep(const Tokens& tokens, const CheckpointPosition& at) {
    const bool is_end = at.kind == CheckpointKind::end;
    cache->add({std::span(tokens).first(at.position), at.kind, zeros(layout.state_parts),
                std::vector<float>(layout.hidden), std::vector<float>(is_end ? layout.vocab : 0), 0,
                [&](std::int64_t begin, std::int64_t end, const std::atomic<bool>*) {
                  return zeros(layout.kv_parts(begin, end));
                }});
  }

  const PrefixLayout layout = scaled();
  std::optional<PrefixCache> cache;
  Boundaries boundaries;
};

}  // namespace

TEST_CASE("under the default budget a long prompt costs what its changes cost") {
  const auto whatever_is_free = [](const auto& check) {
    for (const std::uint64_t gib : {8, 12, 24}) {
      CAPTURE(gib);
      Reader reader(gib << 30);
      check(reader);
    }
  };
  SUBCASE("none at all") {
    whatever_is_free([](Reader& reader) {
      CHECK(reader.computed(prompt()) == total);
      CHECK(reader.computed(prompt()) == 0);
    });
  }
  SUBCASE("the last tokens, behind a boundary, and back again") {
    whatever_is_free([](Reader& reader) {
      reader.boundaries = {200, 3000, total - tail};
      reader.computed(prompt());
      CHECK(reader.computed(changed(prompt(), total - tail)) == tail);
      CHECK(reader.computed(prompt()) == 0);
    });
  }
  SUBCASE("the last tokens, without any boundary, and back again") {
    whatever_is_free([](Reader& reader) {
      reader.computed(prompt());
      CHECK(reader.computed(changed(prompt(), total - tail)) <= tail + distance);
      CHECK(reader.computed(prompt()) == 0);
    });
  }
  SUBCASE("the middle, behind a boundary") {
    whatever_is_free([](Reader& reader) {
      reader.boundaries = {200, 3000, 4500};
      reader.computed(prompt());
      CHECK(reader.computed(changed(prompt(), 3100)) <= total - 3000);
    });
  }
  SUBCASE("wherever prompts part, at most twice what has to be") {
    whatever_is_free([](Reader& reader) {
      reader.computed(prompt());
      for (std::size_t rest = 32; rest < total - distance; rest += 100) {
        CAPTURE(rest);
        const std::size_t kept = reader.cache->find(changed(prompt(), total - rest));
        CHECK(total - kept <= std::max(2 * rest, rest + distance));
      }
    });
  }
  SUBCASE("a key, and what was there before still") {
    whatever_is_free([](Reader& reader) {
      reader.computed(prompt());
      Tokens typed = prompt();
      for (TokenId key = 0; key < 40; ++key) {
        typed = changed(typed, typed.size() - 2);
        typed.push_back(key);
        CHECK(reader.computed(typed) <= 32);
      }
      CHECK(reader.computed(changed(prompt(), total - tail)) <= tail + distance);
    });
  }
}

TEST_CASE("the more memory, the more of a prompt's checkpoints stay") {
  std::size_t before = 0;
  for (const std::uint64_t gib : {6, 8, 12}) {
    Reader reader(gib << 30);
    reader.computed(prompt());
    const std::size_t kept = reader.cache->statistics().ram_checkpoints;
    CHECK(kept > before);
    CHECK(reader.cache->statistics().ram_bytes <= reader.cache->statistics().ram_limit);
    before = kept;
  }
  CHECK(before == total / distance + 2);  // all of them
}

TEST_CASE(
    "where few checkpoints may be taken, the end and boundaries are, then the closer, the nearer "
    "to "
    "it") {
  const PositionRange range{0, 0, total, total};
  std::vector<CheckpointPosition> chosen =
      wanted_positions(range, Boundaries{200, 3000}, distance, 0);
  REQUIRE(chosen.size() == total / distance + 4);
  limit_positions(chosen, 7, range);
  Boundaries positions;
  for (const CheckpointPosition& each : chosen) positions.push_back(each.position);
  CHECK(positions == Boundaries{200, 3000, 4096, 5120, 5632, total - 16, total});
  limit_positions(chosen, 3, range);
  CHECK(chosen[0].position == 3000);
  limit_positions(chosen, 0, range);
  CHECK(chosen.empty());
}

}  // namespace hearth::tests
