// Small least squares for reading, order statistics for lengths.
#include "daemon/models/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace hearth::daemon {
namespace {

constexpr double four_of_five = 1.28;  // standard deviations of a normal distribution
// A little less than a tenth on either side: what comes is not quite as what was.
constexpr double outside = 0.08;
constexpr double newest_error = 0.1;  // weight of an error among those before it

double next_mean(double mean, double newest) {
  return mean * (1 - newest_error) + newest * newest_error;
}

// `alike`: the share of the error that is the same for all that is foretold at a time.
Forecast with_error(const Forecast& exact, double mean_square, double alike) {
  const double error = four_of_five * std::sqrt(mean_square) * exact.mean;
  const double own = error * std::sqrt(1 - alike * alike);
  return {exact.mean, std::hypot(exact.below, own), std::hypot(exact.above, own),
          exact.common + alike * error};
}

// The value below which a share of all to come will be, by those that were seen: with n of them, a
// new one falls between any two neighbours, or outside, in one of n + 1 cases. `sorted` begins with
// the least and ends with the greatest that there can be.
double quantile(const std::vector<double>& sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(rank), sorted.size() - 2);
  const double part = rank - static_cast<double>(below);
  return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

}  // namespace

double Forecast::from() const {
  return std::max(0.0, mean - std::hypot(below, common));
}

double Forecast::to() const {
  return mean + std::hypot(above, common);
}

Forecast operator+(const Forecast& a, const Forecast& b) {
  return {a.mean + b.mean, std::hypot(a.below, b.below), std::hypot(a.above, b.above),
          a.common + b.common};
}

// Scaled so that each is about 1 for a usual pass.
ReadingCost::Vector ReadingCost::features(double passes, double rows, double before) const {
  constexpr double usual_context = 4096;
  return {passes, rows / rows_of_pass_, rows / rows_of_pass_ * (before + rows / 2) / usual_context};
}

void ReadingCost::add(double rows, double before, double seconds) {
  if (rows <= 0 || seconds <= 0) return;
  if (const auto expected = this->seconds(rows, before); expected && expected->mean > 0) {
    const double off = std::min(std::abs(seconds - expected->mean) / expected->mean, 1.0);
    error_ = next_mean(error_, off * off);
  }
  constexpr double keep = 0.97;  // the last 33 passes have two thirds of the weight
  const Vector x = features(1, rows, before);
  // Errors count by the time that they are part of.
  const double weight = 1 / ((1 + x[1]) * (1 + x[1]));
  for (std::size_t i = 0; i < terms; ++i) {
    products_[i] = products_[i] * keep + weight * x[i] * seconds;
    for (std::size_t j = 0; j < terms; ++j)
      squares_[i][j] = squares_[i][j] * keep + weight * x[i] * x[j];
  }
  measured_ = true;
  solve();
}

// Costs are not negative: of all choices of terms whose best costs are so, the one with the least
// error. A little of every cost is taken for an error, too: what passes of one size cannot tell
// apart is then shared among the terms.
void ReadingCost::solve() {
  const double ridge = 1e-4 * (squares_[0][0] + squares_[1][1] + squares_[2][2]);
  double least = 0;  // beside all costs 0
  for (unsigned chosen = 1; chosen < 1U << terms; ++chosen) {
    std::array<std::array<double, terms + 1>, terms> rows{};
    for (std::size_t i = 0; i < terms; ++i) {
      const bool is_in = (chosen >> i & 1U) != 0;
      for (std::size_t j = 0; j < terms; ++j) {
        rows[i][j] = is_in && (chosen >> j & 1U) != 0 ? squares_[i][j] : 0;
      }
      rows[i][i] += is_in ? ridge : 1;
      rows[i][terms] = is_in ? products_[i] : 0;
    }
    // Positive definite: no pivots are needed.
    for (std::size_t i = 0; i < terms; ++i) {
      for (std::size_t k = 0; k < terms; ++k) {
        if (k == i) continue;
        const double factor = rows[k][i] / rows[i][i];
        for (std::size_t j = i; j <= terms; ++j) rows[k][j] -= factor * rows[i][j];
      }
    }
    Vector costs{};
    double error = 0;  // of the least squares, without what is the same for all choices
    for (std::size_t i = 0; i < terms; ++i) {
      costs[i] = rows[i][terms] / rows[i][i];
      error -= costs[i] * products_[i];
    }
    // Nor where a damaged file made the squares none.
    if (!std::isfinite(error) || !(*std::ranges::min_element(costs) >= 0 && error < least))
      continue;
    least = error;
    costs_ = costs;
  }
}

std::optional<Forecast> ReadingCost::seconds(double rows, double before) const {
  if (!measured_) return std::nullopt;
  if (rows <= 0) return Forecast{};
  const Vector x = features(std::ceil(rows / rows_of_pass_), rows, before);
  double mean = 0;
  for (std::size_t i = 0; i < terms; ++i) mean += costs_[i] * x[i];
  return with_error({mean}, error_, 0.5);
}

void WritingCost::add(double tokens, double seconds) {
  rate_.add(tokens, std::chrono::duration<double>(seconds));
}

void WritingCost::finish(double expected, double seconds) {
  if (expected <= 0) return;
  const double off = std::min(std::abs(seconds - expected) / expected, 1.0);
  error_ = next_mean(error_, off * off);
}

std::optional<Forecast> WritingCost::seconds(const Forecast& tokens) const {
  const auto speed = rate_.per_second();
  if (!speed) return std::nullopt;
  return with_error(tokens.scaled(1 / *speed), error_, 0.5);
}

void Lengths::add(std::string_view action, bool chat, Length length) {
  const auto keep = [&](Known& known) {
    known.lengths.push_back(length);
    if (known.lengths.size() > kept) known.lengths.pop_front();
    known.used = ++uses_;
  };
  keep(chat ? chat_ : completion_);
  if (action.empty() || action.size() > name_max) return;
  const auto found = by_action_.find(action);
  if (found != by_action_.end()) return keep(found->second);
  if (by_action_.size() >= actions) {
    by_action_.erase(std::ranges::min_element(
        by_action_, [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
  keep(by_action_[std::string(action)]);
}

// Few answers say less of an action than many say of all actions.
const std::deque<Length>& Lengths::known(std::string_view action, bool chat) const {
  constexpr std::size_t enough = 4;
  const auto& all = (chat ? chat_ : completion_).lengths;
  const auto found = by_action_.find(action);
  if (found == by_action_.end()) return all;
  const auto& own = found->second.lengths;
  return own.size() < enough && own.size() < all.size() ? all : own;
}

Forecast Lengths::left(const Writing& writing) const {
  const Length& max = writing.max;
  const Length& written = writing.written;
  const auto count = [](std::int64_t tokens) {
    return static_cast<double>(std::max<std::int64_t>(tokens, 0));
  };
  const bool thinks = written.answer == 0 && max.thought > written.thought;
  const double most = std::max(1.0, count(max.answer - written.answer) +
                                        (thinks ? count(max.thought - written.thought) : 0));
  std::vector<double> left{1};
  for (const Length& length : known(writing.action, writing.chat)) {
    const Length bounded{std::min(length.thought, max.thought),
                         std::min(length.answer, max.answer)};
    // Those that were shorter say nothing of this one any more.
    const bool longer = thinks && written.thought > 0 ? bounded.thought > written.thought
                                                      : bounded.answer > written.answer;
    if (!longer) continue;
    left.push_back(std::clamp(count(bounded.answer - written.answer) +
                                  (thinks ? count(bounded.thought - written.thought) : 0),
                              1.0, most));
  }
  left.push_back(most);
  std::ranges::sort(left);
  const std::size_t known_count = left.size() - 2;
  if (known_count == 0) {
    // Longer than all others already: half as long again. The first one: a third of what may come.
    const double so_far = count(written.answer + written.thought);
    const double mean = so_far > 0 ? std::min(most, 1 + so_far / 2) : 1 + (most - 1) / 3;
    return {mean, mean - 1, most - mean};
  }
  double mean = 0;
  double square = 0;
  for (std::size_t i = 1; i <= known_count; ++i) {
    mean += left[i];
    square += left[i] * left[i];
  }
  const auto known_answers = static_cast<double>(known_count);
  mean /= known_answers;
  const double variance = std::max(0.0, square / known_answers - mean * mean);
  return {mean, std::max(0.0, mean - quantile(left, outside)),
          std::max(0.0, quantile(left, 1 - outside) - mean),
          four_of_five * std::sqrt(variance / known_answers)};
}

void Overtaking::add(double foretold, double seconds) {
  constexpr double least = 1;  // second; what is soon says little
  ratios_.push_back(std::clamp((seconds + least) / (foretold + least), 1.0 / 16, 16.0));
  if (ratios_.size() > kept) ratios_.pop_front();
}

Forecast Overtaking::corrected(const Forecast& wait) const {
  constexpr std::size_t enough = 8;
  if (ratios_.size() < enough || wait.mean <= 0) return wait;
  std::vector<double> sorted(ratios_.begin(), ratios_.end());
  sorted.push_back(std::min(0.5, std::ranges::min(ratios_)));
  sorted.push_back(std::max(2.0, std::ranges::max(ratios_)));
  std::ranges::sort(sorted);
  // Wrong by chance a little, this way and that; by more than a quarter it is no chance.
  const double usual = quantile(sorted, 0.5);
  const double mean = wait.mean * (usual < 0.8 || usual > 1.25 ? usual : 1);
  return {mean, std::max(wait.below, mean - wait.mean * quantile(sorted, outside)),
          std::max(wait.above, wait.mean * quantile(sorted, 1 - outside) - mean), wait.common};
}

void Estimates::read(double tokens, double seconds, bool completion) {
  ++changes_;
  sharing_.computed(seconds);
  const std::chrono::duration<double> time(seconds);
  prefill_.add(tokens, time);
  if (completion) completion_prefill_.add(tokens, time);
}

void Estimates::answered(const Answered& answer) {
  ++changes_;
  lengths_.add(answer.action, answer.chat, answer.length);
  const auto tokens = static_cast<double>(answer.length.thought + answer.length.answer);
  if (answer.speed_before) writing_.finish(tokens / *answer.speed_before, answer.seconds);
}

void Estimates::waited(lsp::Priority priority, double foretold, double seconds) {
  overtaking_[static_cast<std::size_t>(priority)].add(foretold, seconds);
}

Forecast Estimates::wait(lsp::Priority priority, const Forecast& others) const {
  return overtaking_[static_cast<std::size_t>(priority)].corrected(others);
}

void Sharing::add(double computed, double parked) {
  computed_ += computed;
  parked_ += parked;
  if (computed_ + parked_ < window) return;
  computed_ /= 2;
  parked_ /= 2;
}

// The first token comes with the prompt's last pass.
std::optional<Forecast> Estimates::first_token(const Work& work) const {
  const auto reading = reading_time(work);
  return reading ? std::optional(reading->scaled(sharing_.stretch())) : std::nullopt;
}

std::optional<Forecast> Estimates::reading_time(const Work& work) const {
  if (work.unread <= 0) return Forecast{};
  if (auto passes = reading_.seconds(work.unread, work.read)) return passes;
  const auto speed = prefill_.per_second();
  if (!speed) return std::nullopt;
  return with_error({work.unread / *speed}, 0.04, 0.5);
}

std::optional<Forecast> Estimates::end(const Work& work) const {
  auto all = first_token(work);
  if (!all || !work.answers) return all;
  const auto writing = writing_.seconds(lengths_.left(work.writing));
  if (!writing) return std::nullopt;
  return *all + writing->scaled(sharing_.stretch());
}

void PassTimer::add(Estimates& estimates, const Piece& piece) {
  // Within a pass: a part of a layer. Behind one: its checkpoints.
  if (piece.read <= piece.read_before) {
    (under_way_ > 0 ? under_way_ : seconds_) += piece.seconds;
    return;
  }
  end(estimates);
  if (under_way_ == 0)
    seen_whole_ = piece.read_before <= static_cast<double>(piece.position_before);
  under_way_ += piece.seconds;
  if (piece.position <= piece.position_before) return;
  if (seen_whole_) {
    rows_ = static_cast<double>(piece.position - piece.position_before);
    before_ = static_cast<double>(piece.position_before);
    seconds_ = under_way_;
  }
  under_way_ = 0;
}

void PassTimer::end(Estimates& estimates) {
  if (rows_ > 0) estimates.passed(rows_, before_, seconds_);
  rows_ = 0;
}

}  // namespace hearth::daemon
