// What was learnt of the engine's speed and of how long answers are, and what that says of work to
// come. Pure: no clock, no thread; times come in and go out as seconds.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/models/rate.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

struct EstimatesJson;  // daemon/models/estimate_file.cpp keeps them from one start to the next

// A time or a count that is not known exactly: the mean, and how far below and above it the truth
// may be in four of five cases.
struct Forecast {
  double mean = 0;
  double below = 0;
  double above = 0;
  double common = 0;  // either way, where others that were foretold alike go wrong alike

  double from() const;
  double to() const;
  Forecast scaled(double by) const { return {mean * by, below * by, above * by, common * by}; }
};
// Of what follows each other.
Forecast operator+(const Forecast& a, const Forecast& b);

// What reading a prompt costs: each pass over the layers, each of its rows, and each row for every
// token before it. Least squares of the relative error, recent passes counting more than old.
class ReadingCost {
 public:
  // As many rows as a pass over a long prompt has.
  explicit ReadingCost(double rows_of_pass) : rows_of_pass_(rows_of_pass) {}

  // One pass over `rows` behind `before` tokens.
  void add(double rows, double before, double seconds);
  // Empty until something was measured.
  std::optional<Forecast> seconds(double rows, double before) const;

 private:
  friend struct EstimatesJson;
  static constexpr std::size_t terms = 3;
  using Vector = std::array<double, terms>;

  Vector features(double passes, double rows, double before) const;
  void solve();

  double rows_of_pass_;
  std::array<Vector, terms> squares_{};
  Vector products_{};
  Vector costs_{};
  double error_ = 0.01;  // mean square, relative
  bool measured_ = false;
};

// Seconds a written token takes, and how far whole answers were from that.
class WritingCost {
 public:
  void add(double tokens, double seconds);
  // A whole answer, of which `expected` seconds were expected when it began.
  void finish(double expected, double seconds);
  std::optional<Forecast> seconds(const Forecast& tokens) const;
  const Rate& rate() const { return rate_; }

 private:
  friend struct EstimatesJson;
  Rate rate_{1024};
  double error_ = 0.01;  // mean square, relative
};

// What an answer has come to, in tokens.
struct Length {
  std::int64_t thought = 0;
  std::int64_t answer = 0;
};

// What may still be written, and what is there already.
struct Writing {
  std::string_view action;  // empty: what is known of the kind
  bool chat = true;
  Length max;      // no thought: it does not think, or not any more
  Length written;  // so far
};

// How long answers were: the last ones of each action, and of each kind of prompt.
class Lengths {
 public:
  static constexpr std::size_t kept = 32;      // of each action
  static constexpr std::size_t actions = 64;   // whoever asks chooses their names
  static constexpr std::size_t name_max = 64;  // bytes; longer ones count as their kind only

  void add(std::string_view action, bool chat, Length length);
  // Tokens that are still to come, given those that are there.
  Forecast left(const Writing& writing) const;

 private:
  friend struct EstimatesJson;
  struct Known {
    std::deque<Length> lengths;  // the newest last
    std::uint64_t used = 0;
  };
  const std::deque<Length>& known(std::string_view action, bool chat) const;

  Known chat_;
  Known completion_;
  std::map<std::string, Known, std::less<>> by_action_;
  std::uint64_t uses_ = 0;
};

// How much longer waits took than they were foretold to: whoever comes later may be served earlier.
class Overtaking {
 public:
  static constexpr std::size_t kept = 64;

  void add(double foretold, double seconds);
  // The same wait, as far as it was often longer or shorter.
  Forecast corrected(const Forecast& wait) const;

 private:
  std::deque<double> ratios_;  // the newest last
};

// How much longer all takes than computing it, since others have the engine's cores now and then.
class Sharing {
 public:
  static constexpr double window = 120;  // seconds of which the older half counts half
  static constexpr double least = 5;     // seconds of computing that say something

  void computed(double seconds) { add(seconds, 0); }
  void parked(double seconds) { add(0, seconds); }
  double stretch() const { return 1 + parked_ / std::max(computed_, least); }

 private:
  void add(double computed, double parked);

  double computed_ = 0;
  double parked_ = 0;
};

// A request, as far as it is known.
struct Work {
  double unread = 0;  // tokens of its prompt that are not computed
  double read = 0;    // those before them
  bool answers = true;
  Writing writing = {};
};

// An answer that is whole.
struct Answered {
  std::string_view action;
  bool chat = true;
  Length length;
  double seconds = 0;                  // that writing it took
  std::optional<double> speed_before;  // decode_speed() when its first token was written
};

// All that is learnt.
class Estimates {
 public:
  explicit Estimates(double rows_of_pass = 256) : reading_(rows_of_pass) {}

  // Any part of a prompt, as soon as it is read, and whether it was a completion's.
  void read(double tokens, double seconds, bool completion);
  // A whole pass; counted by read() already.
  void passed(double rows, double before, double seconds) {
    ++changes_;
    reading_.add(rows, before, seconds);
  }
  void wrote(double tokens, double seconds) {
    ++changes_;
    sharing_.computed(seconds);
    writing_.add(tokens, seconds);
  }
  // Something under way waited so long for another engine; no part of what it took itself.
  void parked(double seconds) { sharing_.parked(seconds); }
  void answered(const Answered& answer);
  // It began after so many seconds; as many were foretold at first.
  void waited(lsp::Priority priority, double foretold, double seconds);

  // How often something of what is kept from one start to the next has changed.
  std::uint64_t changes() const { return changes_; }

  // What others need that are served first, with those who may come.
  Forecast wait(lsp::Priority priority, const Forecast& others) const;
  // With the engine to itself, but for what it was parked lately; empty: nothing was measured yet.
  std::optional<Forecast> first_token(const Work& work) const;
  std::optional<Forecast> end(const Work& work) const;
  // Tokens a second.
  std::optional<double> prefill_speed() const { return prefill_.per_second(); }
  std::optional<double> completion_speed() const { return completion_prefill_.per_second(); }
  std::optional<double> decode_speed() const { return writing_.rate().per_second(); }

 private:
  friend struct EstimatesJson;
  std::optional<Forecast> reading_time(const Work& work) const;

  Rate prefill_{1024};
  // Of completions' prompts, in which few tokens are new: a pass over few takes longer for each.
  Rate completion_prefill_{256};
  ReadingCost reading_;
  WritingCost writing_;
  Lengths lengths_;
  std::array<Overtaking, 3> overtaking_;  // by priority
  Sharing sharing_;                       // of this start only
  std::uint64_t changes_ = 0;
};

// Makes passes of the pieces in which a prompt is read: some are a part of a pass, others keep its
// checkpoints.
class PassTimer {
 public:
  struct Piece {
    std::int64_t position_before = 0;  // tokens that are part of the session
    std::int64_t position = 0;         // behind the piece
    double read_before = 0;  // with those of a pass on its way, by the share of its layers
    double read = 0;
    double seconds = 0;
  };
  void add(Estimates& estimates, const Piece& piece);
  void end(Estimates& estimates);  // of the prompt

 private:
  double rows_ = 0;  // of a pass that is over, but for its checkpoints
  double before_ = 0;
  double seconds_ = 0;
  double under_way_ = 0;     // seconds of the pass on its way
  bool seen_whole_ = false;  // it, from its first piece on
};

}  // namespace hearth::daemon
