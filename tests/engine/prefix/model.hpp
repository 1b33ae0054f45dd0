// A model for tests of prefix checkpoints that computes nothing: every byte of its KV and states
// follows from the tokens before it, so whatever comes back can be checked.
#pragma once

#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "engine/prefix/cache.hpp"
#include "engine/support/digest.hpp"

namespace hearth::tests {

using Tokens = std::vector<engine::TokenId>;

inline engine::PrefixLayout small_layout() {
  engine::PrefixLayout layout;
  layout.caches = 3;
  layout.mtp = true;
  layout.row_bytes = 8;
  layout.state_parts = {6000, 1200, 6000,
                        1200};  // as in a real model, worth hundreds of tokens' KV
  layout.hidden = 8;
  layout.vocab = 20;
  return layout;
}

inline std::uint64_t hash_of(std::span<const engine::TokenId> tokens, std::size_t count) {
  return engine::digest(std::as_bytes(tokens.first(count)));
}

// Bytes that follow from a number.
inline void fill(std::span<std::byte> bytes, std::uint64_t seed) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 8 == 0) seed = seed * 0x5851'f42d'4c95'7f2d + 1;
    bytes[i] = static_cast<std::byte>(seed >> (8 * (i % 8)));
  }
}

inline engine::StateSnapshot snapshot(
    const std::vector<std::size_t>& sizes,
    const std::function<void(std::size_t, std::span<std::byte>)>& write) {
  auto block = std::make_shared<engine::HostBlock>(
      std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
  std::span<std::byte> rest = block->bytes();
  for (std::size_t part = 0; part < sizes.size(); ++part) {
    write(part, rest.first(sizes[part]));
    rest = rest.subspan(sizes[part]);
  }
  return engine::split_block(block, sizes);
}

// Row p of the MTP head's cache follows from the tokens up to p + 1.
inline void fill_row(const engine::PrefixLayout& layout, std::size_t part, std::int64_t row,
                     std::span<const engine::TokenId> tokens, std::span<std::byte> to) {
  const std::int64_t ahead = layout.mtp && part / 2 + 1 == layout.caches ? 2 : 1;
  fill(to, hash_of(tokens, static_cast<std::size_t>(row + ahead)) + part);
}

inline engine::StateSnapshot kv_of(const engine::PrefixLayout& layout,
                                   std::span<const engine::TokenId> tokens, std::int64_t begin,
                                   std::int64_t end) {
  return snapshot(layout.kv_parts(begin, end), [&](std::size_t part, std::span<std::byte> to) {
    const auto rows = layout.rows(part / 2, begin, end);
    for (std::int64_t i = 0; i < rows.count; ++i)
      fill_row(layout, part, rows.first + i, tokens,
               to.subspan(static_cast<std::size_t>(i) * layout.row_bytes, layout.row_bytes));
  });
}

inline std::vector<float> floats_of(std::span<const engine::TokenId> tokens, std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(),
            static_cast<float>(hash_of(tokens, tokens.size()) % 100'000));
  return values;
}

inline engine::StateSnapshot state_of(const engine::PrefixLayout& layout,
                                      std::span<const engine::TokenId> tokens) {
  return snapshot(layout.state_parts, [&](std::size_t part, std::span<std::byte> to) {
    fill(to, hash_of(tokens, tokens.size()) + 100 + part);
  });
}

inline engine::PrefixCache::Checkpoint checkpoint_of(const engine::PrefixLayout& layout,
                                                     std::span<const engine::TokenId> tokens,
                                                     engine::CheckpointKind kind) {
  const bool end = kind == engine::CheckpointKind::end;
  return {tokens,
          kind,
          state_of(layout, tokens),
          floats_of(tokens, layout.hidden),
          end ? floats_of(tokens, layout.vocab) : std::vector<float>{},
          0,
          [&layout, tokens](std::int64_t from, std::int64_t to, const std::atomic<bool>*) {
            return kv_of(layout, tokens, from, to);
          }};
}

inline bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::ranges::equal(a, b);
}

// Whether what came back is what these tokens lead to, with the KV from `kv_from` on.
inline bool is_right(const engine::PrefixLayout& layout,
                     const engine::PrefixCache::Restored& restored, const Tokens& tokens,
                     std::int64_t kv_from) {
  const std::span<const engine::TokenId> all =
      std::span(tokens).first(static_cast<std::size_t>(restored.position));
  const engine::StateSnapshot state = state_of(layout, all);
  if (restored.state.parts().size() != state.parts().size()) return false;
  for (std::size_t part = 0; part < state.parts().size(); ++part)
    if (!same(restored.state.parts()[part], state.parts()[part])) return false;
  if (restored.hidden != floats_of(all, layout.hidden)) return false;
  if (!restored.logits.empty() && restored.logits != floats_of(all, layout.vocab)) return false;

  std::int64_t at = std::min(kv_from, restored.position);
  for (const auto& span : restored.spans) {
    if (span.from != at || span.begin > span.from) return false;
    at = span.to;
    std::vector<std::byte> expected(layout.row_bytes);
    for (std::size_t part = 0; part < 2 * layout.caches; ++part) {
      const auto held = layout.rows(part / 2, span.begin, span.to);
      const auto wanted = layout.rows(part / 2, span.from, span.to);
      for (std::int64_t row = wanted.first; row < wanted.first + wanted.count; ++row) {
        fill_row(layout, part, row, tokens, expected);
        const auto offset = static_cast<std::size_t>(row - held.first) * layout.row_bytes;
        if (!same(span.kv.parts()[part].subspan(offset, layout.row_bytes), expected)) return false;
      }
    }
  }
  return at == restored.position;
}

}  // namespace hearth::tests
