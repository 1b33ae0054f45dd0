// Guesses of the next tokens, and how many are worth a try. What is guessed only costs time when it
// is wrong: every guess is verified by the model.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/types.hpp"

namespace hearth::engine {

// Copies from what was said before: finds where the last tokens stood already, in the prompt or in
// the answer, and guesses that the same follows. Strong where code is rewritten with few changes.
class PromptLookup {
 public:
  struct Guess {
    std::vector<TokenId> tokens;
    std::size_t matched = 0;  // how many of the last tokens stood there too
  };

  void append(std::span<const TokenId> tokens);
  std::size_t size() const { return tokens_.size(); }
  // At most `count` tokens; empty where the last `least_match` never stood together before.
  Guess guess(std::size_t count) const;

  static constexpr std::size_t least_match = 3;

 private:
  static std::uint64_t hash(std::span<const TokenId> tokens);

  std::vector<TokenId> tokens_;
  // Where the least_match tokens of a hash end, the latest few of them.
  struct Places {
    std::array<std::uint32_t, 8> ends{};
    std::uint32_t count = 0;
  };
  std::unordered_map<std::uint64_t, Places> places_;
};

// How many guessed tokens to verify: as many as promise the most tokens a second, from how often
// guesses came true lately and what a pass over one row and over several takes.
class DraftLength {
 public:
  // Guesses with different prospects are judged apart.
  enum class Source : std::uint8_t { short_match, long_match, mtp };

  explicit DraftLength(std::size_t most) : most_(most) {}

  // 0: not worth it. Now and then 1 all the same, to notice when it has become worth it.
  std::size_t choose(Source source);
  // A pass over 1 + `drafted` rows took `seconds`; the first `accepted` guesses were right. What
  // making the guesses took counts.
  void record(Source source, std::size_t drafted, std::size_t accepted, double seconds);

  // Tokens a second that a pass over 1 + drafted rows promises, per token a second without.
  double gain(Source source, std::size_t drafted) const;

 private:
  std::size_t most_;
  std::array<double, 3> right_{0.6, 0.85, 0.6};  // chance that a guess is right
  double one_ = 0;                               // seconds of a pass over one row; 0: not measured
  double more_ = 0;                              // seconds of each row more
  bool more_known_ = false;
  std::uint64_t turns_ = 0;
};

}  // namespace hearth::engine
