// Prompt lookup, and the choice of a draft length by expected gain.
#include "engine/decode/drafts.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::engine {

namespace {

constexpr std::size_t longest_match = 32;  // a longer one says no more
constexpr std::size_t long_match = 8;
// In what is remembered of past passes; those over one row are rare where drafts are accepted.
constexpr double weight_of_new = 0.15;
constexpr double weight_of_one = 0.3;
constexpr std::uint64_t probe_every = 24;    // turns without a draft
constexpr std::uint64_t measure_every = 32;  // passes over several rows
// Before it was measured: a row more costs this share of a pass.
constexpr double usual_share = 0.35;

double blend(double old, double now, double weight = weight_of_new) {
  return old + weight * (now - old);
}

}  // namespace

DraftSource PromptLookup::Draft::source() const {
  return matched >= long_match ? DraftSource::long_match : DraftSource::short_match;
}

std::uint64_t PromptLookup::hash(std::span<const TokenId> tokens) {
  std::uint64_t value = 0xcbf2'9ce4'8422'2325;
  for (const TokenId token : tokens) {
    value = (value ^ static_cast<std::uint32_t>(token)) * 0x9e37'79b9'7f4a'7c15;
    value ^= value >> 29;
  }
  return value;
}

void PromptLookup::append(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) {
    // The tokens before are entered once something follows them.
    if (tokens_.size() >= min_match) {
      Places& places = places_[hash(std::span(tokens_).last(min_match))];
      places.ends[places.count++ % places.ends.size()] = static_cast<std::uint32_t>(tokens_.size());
    }
    tokens_.push_back(token);
  }
}

PromptLookup::Draft PromptLookup::draft(std::size_t count) const {
  Draft best;
  if (count == 0 || tokens_.size() < min_match) return best;
  const auto found = places_.find(hash(std::span(tokens_).last(min_match)));
  if (found == places_.end()) return best;
  const Places& places = found->second;
  std::size_t best_end = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(places.count, places.ends.size()); ++i) {
    const std::size_t end = places.ends[i];
    std::size_t matched = 0;
    while (matched < std::min(end, longest_match) &&
           tokens_[end - 1 - matched] == tokens_[tokens_.size() - 1 - matched]) {
      ++matched;
    }
    const bool better = matched > best.matched || (matched == best.matched && end > best_end);
    if (matched < min_match || !better) continue;
    best.matched = matched;
    best_end = end;
  }
  if (best_end == 0) return best;
  const std::span<const TokenId> follows = std::span(tokens_).subspan(best_end);
  const auto some = follows.first(std::min(count, follows.size()));
  best.tokens.assign(some.begin(), some.end());
  return best;
}

DraftLength DraftLength::fixed(Source source, std::size_t length) {
  DraftLength fixed(length);
  fixed.fixed_ = source;
  return fixed;
}

std::optional<double> DraftLength::cost(Source source) const {
  const Prospects& prospects = prospects_[static_cast<std::size_t>(source)];
  if (prospects.measured == 0) return std::nullopt;
  return prospects.more / one_;
}

double DraftLength::gain(Source source, std::size_t drafted) const {
  const Prospects& prospects = prospects_[static_cast<std::size_t>(source)];
  const double right = std::min(prospects.right, 0.98);
  const double tokens = (1 - std::pow(right, static_cast<double>(drafted + 1))) / (1 - right);
  const double share = cost(source).value_or(usual_share);
  return tokens / (1 + share * static_cast<double>(drafted));
}

std::size_t DraftLength::choose(Source source) {
  if (fixed_) return source == *fixed_ ? max_ : 0;
  Prospects& prospects = prospects_[static_cast<std::size_t>(source)];
  ++prospects.turns;
  if (one_ == 0 || since_one_ >= measure_every) return 0;
  std::size_t best = 0;
  double best_gain = 1.02;  // a gain too small to see is none
  for (std::size_t drafted = 1; drafted <= max_; ++drafted) {
    const double here = gain(source, drafted);
    if (here <= best_gain) continue;
    best_gain = here;
    best = drafted;
  }
  if (best == 0 && max_ > 0 && prospects.turns % probe_every == 0) return 1;
  return best;
}

void DraftLength::record(Source source, std::size_t drafted, std::size_t accepted, double seconds) {
  if (drafted == 0) {
    one_ = one_ == 0 ? seconds : blend(one_, seconds, weight_of_one);
    since_one_ = 0;
    return;
  }
  ++since_one_;
  Prospects& prospects = prospects_[static_cast<std::size_t>(source)];
  for (std::size_t i = 0; i < accepted; ++i) prospects.right = blend(prospects.right, 1);
  if (accepted < drafted) prospects.right = blend(prospects.right, 0);
  if (one_ == 0) return;
  const double row = std::max(0.0, seconds - one_) / static_cast<double>(drafted);
  ++prospects.measured;
  // The first passes count alike, so that one odd pass is soon outweighed.
  const double weight = std::max(weight_of_new, 1 / static_cast<double>(prospects.measured));
  prospects.more = blend(prospects.more, row, weight);
}

}  // namespace hearth::engine
