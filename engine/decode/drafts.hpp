// Draft tokens, and how many are worth a try. A draft only costs time when it
// is wrong: every draft token is verified by the model.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/support/types.hpp"

namespace hearth::engine {

// Drafts with different prospects, which are judged apart.
enum class DraftSource : std::uint8_t { short_match, long_match, mtp, small_model };

// Copies from what was said before: finds where the last tokens occurred before, in the prompt or
// in the answer, and drafts what followed there. Strong where code is rewritten with few
// changes.
class PromptLookup {
 public:
  struct Draft {
    std::vector<TokenId> tokens;
    std::size_t matched = 0;  // how many of the last tokens match there
    DraftSource source() const;
  };

  void append(std::span<const TokenId> tokens);
  std::size_t size() const { return tokens_.size(); }
  // At most `count` tokens; empty where the last `min_match` never occurred together before.
  Draft draft(std::size_t count) const;

  static constexpr std::size_t min_match = 3;

 private:
  static std::uint64_t hash(std::span<const TokenId> tokens);

  std::vector<TokenId> tokens_;
  // Where the min_match tokens of a hash end, the latest few of them.
  struct Places {
    std::array<std::uint32_t, 8> ends{};
    std::uint32_t count = 0;
  };
  std::unordered_map<std::uint64_t, Places> places_;
};

// How many draft tokens to verify: as many as promise the most tokens a second, from how often
// drafts were accepted lately and what a pass over one row and over several takes.
class DraftLength {
 public:
  using Source = DraftSource;

  explicit DraftLength(std::size_t max) : max_(max) {}
  // Always `length` drafts of one source and none of the others, for tests.
  static DraftLength fixed(Source source, std::size_t length);

  // 0: not worth it, or time to see again what a pass without drafts takes. Now and then 1 where
  // it is not worth it, to notice when it has become so.
  std::size_t choose(Source source);
  // A pass over 1 + `drafted` rows took `seconds`; the first `accepted` drafts were right. What
  // making the drafts took counts.
  void record(Source source, std::size_t drafted, std::size_t accepted, double seconds);

  // Tokens a second that a pass over 1 + drafted rows promises, per token a second without.
  double gain(Source source, std::size_t drafted) const;
  // Of a pass over one row, the share that a draft token and its row add to it; empty: not
  // measured.
  std::optional<double> cost(Source source) const;

 private:
  struct Prospects {
    double right = 0;            // chance that a draft token is right
    double more = 0;             // seconds of each row more
    std::uint64_t measured = 0;  // passes that `more` comes from
    std::uint64_t turns = 0;     // times that there was a draft
  };

  std::size_t max_;
  std::optional<Source> fixed_;
  std::array<Prospects, 4> prospects_{
      {{.right = 0.6}, {.right = 0.85}, {.right = 0.6}, {.right = 0.6}}};
  double one_ = 0;               // seconds of a pass over one row; 0: not measured
  std::uint64_t since_one_ = 0;  // passes since it was measured
};

}  // namespace hearth::engine
