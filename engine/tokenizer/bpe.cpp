// Merging by rank over a linked list of symbols and a heap of candidate pairs.
#include "engine/tokenizer/bpe.hpp"

#include <algorithm>
#include <bit>

namespace hearth::engine {

BytePairEncoder::BytePairEncoder(const std::array<TokenId, 256>& byte_tokens,
                                 std::span<const BytePairMerge> merges)
    : byte_tokens_(byte_tokens) {
  const std::size_t size = std::bit_ceil(2 * merges.size() + 2);
  slots_.resize(size);
  shift_ = 64 - std::countr_zero(size);
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::uint64_t pair = key(merges[rank].left, merges[rank].right);
    std::size_t at = home(pair);
    while (slots_[at].pair != no_pair) at = (at + 1) & (size - 1);
    slots_[at] = {pair, static_cast<std::uint32_t>(rank), merges[rank].result};
  }
}

std::uint64_t BytePairEncoder::key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::size_t BytePairEncoder::home(std::uint64_t pair) const {
  return static_cast<std::size_t>(pair * 0x9E3779B97F4A7C15u >> shift_);
}

const BytePairEncoder::Slot* BytePairEncoder::find(TokenId left, TokenId right) const {
  const std::uint64_t pair = key(left, right);
  for (std::size_t at = home(pair);; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].pair == pair) return &slots_[at];
    if (slots_[at].pair == no_pair) return nullptr;
  }
}

void BytePairEncoder::encode(std::string_view word, Scratch& scratch,
                             std::vector<TokenId>& out) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  const auto symbol = [&](std::int32_t at) -> Scratch::Symbol& {
    return symbols[static_cast<std::size_t>(at)];
  };
  const auto propose = [&](std::int32_t at) {
    const TokenId left = symbol(at).id;
    const TokenId right = symbol(symbol(at).next).id;
    if (const Slot* merge = find(left, right)) {
      heap.push_back({merge->rank, at, left, right, merge->result});
      std::push_heap(heap.begin(), heap.end());
    }
  };

  const auto count = static_cast<std::int32_t>(word.size());
  symbols.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    symbols.push_back({byte_tokens_[byte], i - 1, i + 1 < count ? i + 1 : -1});
  }
  heap.clear();
  for (std::int32_t i = 0; i + 1 < count; ++i) propose(i);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = symbol(best.at);
    if (left.id != best.left || left.next < 0 || symbol(left.next).id != best.right) continue;

    Scratch::Symbol& right = symbol(left.next);
    left.id = best.result;
    left.next = right.next;
    right.id = -1;  // so that candidates which begin there are stale
    if (left.next >= 0) {
      symbol(left.next).previous = best.at;
      propose(best.at);
    }
    if (left.previous >= 0) propose(left.previous);
  }
  for (std::int32_t at = count > 0 ? 0 : -1; at >= 0; at = symbol(at).next) {
    out.push_back(symbol(at).id);
  }
}

}  // namespace hearth::engine
