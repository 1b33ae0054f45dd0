// Measured speeds, recent work counting more than old, and what they say about work to come.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace hearth::daemon {

// Tokens a second.
class Rate {
 public:
  // Work older than `window` tokens has lost two thirds of its weight.
  explicit Rate(double window) : window_(window) {}

  void add(double tokens, std::chrono::duration<double> time);
  // Empty until something was measured.
  std::optional<double> per_second() const;
  // How long so many tokens will take.
  std::optional<std::chrono::milliseconds> time_for(double tokens) const;

 private:
  double window_;
  double tokens_ = 0;
  double seconds_ = 0;
};

// The length of answers that ended by themselves.
class TypicalLength {
 public:
  void add(std::int64_t tokens);
  std::int64_t expect(std::int64_t max) const;  // `max` until one was seen

 private:
  std::optional<double> mean_;
};

struct Speeds {
  Rate prefill{1024};
  // Of completions' prompts, in which few tokens are new: a pass over few takes longer for each.
  Rate completion_prefill{256};
  Rate decode{128};
  TypicalLength thought;     // of thinking models
  TypicalLength answer;      // of chats
  TypicalLength completion;  // of fill-in-the-middle

  const TypicalLength& length(bool chat) const { return chat ? answer : completion; }
};

}  // namespace hearth::daemon
