// Waits for as many characters as tell a thought from an answer.
#include "daemon/remote/answer_text.hpp"

#include <utility>

namespace hearth::daemon {
namespace {

constexpr std::string_view opening_tag = "<think>";

}  // namespace

AnswerText::Parts AnswerText::push(std::string_view text) {
  std::string came = joined_.push(text);
  if (filter_) return split(std::move(came));
  opening_ += came;
  const std::size_t begin = opening_.find_first_not_of(" \t\r\n");
  const std::string_view seen =
      begin == opening_.npos ? std::string_view() : std::string_view(opening_).substr(begin);
  if (may_think_ && seen.size() < opening_tag.size() && opening_tag.starts_with(seen)) return {};
  const bool thinks = may_think_ && seen.starts_with(opening_tag);
  filter_.emplace(thinks);
  came = thinks ? std::string(seen.substr(opening_tag.size())) : opening_;
  opening_.clear();
  return split(std::move(came));
}

AnswerText::Parts AnswerText::finish() {
  if (!filter_) filter_.emplace(false);
  Parts last = split(std::exchange(opening_, {}) + joined_.finish());
  last.text += filter_->finish();
  last.thought += filter_->take_thought();
  return last;
}

AnswerText::Parts AnswerText::split(std::string text) {
  Parts parts;
  parts.text = filter_->push(text);
  parts.thought = filter_->take_thought();
  return parts;
}

}  // namespace hearth::daemon
