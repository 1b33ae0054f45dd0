// StopStrings: ends an answer at the first stop string that is complete, however the text arrives.
#include <algorithm>
#include <utility>

#include "engine/decode/partial_match.hpp"
#include "engine/decode/sampling.hpp"

namespace hearth::engine {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& stop : strings_) {
    if (stop.empty()) throw Error("a stop string is empty; it would end every answer at once");
  }
}

StopStrings::Result StopStrings::push(std::string_view text) {
  held_ += text;
  // The first to be complete, which is the one that a reader of single characters would meet; of
  // two that end together the longer.
  std::size_t begin = std::string::npos;
  std::size_t end = std::string::npos;
  for (const std::string& stop : strings_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
      begin = at;
      end = at + stop.size();
    }
  }
  if (end != std::string::npos) {
    std::string shown = held_.substr(0, begin);
    held_.clear();
    return {std::move(shown), true};
  }
  std::size_t wait = 0;
  for (const std::string& stop : strings_) wait = std::max(wait, partial_match_length(held_, stop));
  std::string shown = held_.substr(0, held_.size() - wait);
  held_.erase(0, shown.size());
  return {std::move(shown), false};
}

std::string StopStrings::finish() {
  return std::exchange(held_, {});
}

}  // namespace hearth::engine
