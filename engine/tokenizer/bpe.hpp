// Byte-pair encoding of one word: bytes to token ids by merging neighbours in order of rank. Knows
// ids only; the file they come from and the splitting of text into words are elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/support/types.hpp"

namespace hearth::engine {

struct BytePairMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

// Immutable; encode is thread-safe as long as each thread has its own Scratch.
class BytePairEncoder {
 public:
  // byte_tokens: the token of each single byte. merges: by rank, no pair twice.
  BytePairEncoder(const std::array<TokenId, 256>& byte_tokens,
                  std::span<const BytePairMerge> merges);

  class Scratch;
  // Appends the word's tokens, in O(n log n). A word has fewer than 2^31 bytes.
  void encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  struct Slot {
    std::uint64_t pair = no_pair;
    std::uint32_t rank = 0;
    TokenId result = 0;
  };
  static constexpr std::uint64_t no_pair = UINT64_MAX;
  static std::uint64_t key(TokenId left, TokenId right);
  std::size_t home(std::uint64_t pair) const;
  const Slot* find(TokenId left, TokenId right) const;

  std::array<TokenId, 256> byte_tokens_;
  std::vector<Slot> slots_;  // open addressing, at most half full, a power of two
  int shift_ = 0;
};

// Memory that encode uses again and again.
class BytePairEncoder::Scratch {
  friend class BytePairEncoder;

  struct Symbol {
    TokenId id = 0;
    std::int32_t previous = -1;  // −1: none
    std::int32_t next = -1;
  };
  // A pair that could be merged when it was seen; stale once one of its symbols has changed.
  struct Candidate {
    std::uint32_t rank = 0;
    std::int32_t at = 0;  // of the left symbol
    TokenId left = 0;
    TokenId right = 0;
    TokenId result = 0;
    // For a heap whose top is the lowest rank, leftmost first.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace hearth::engine
