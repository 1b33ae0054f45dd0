// ThinkingFilter: hides a thinking model's answer up to and with </think>.
#include <utility>

#include "engine/decode/partial_match.hpp"
#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {
std::string ThinkingFilter::push(std::string_view text) {
  held_ += text;
  if (inside_) {
    const std::size_t tag = held_.find(end_of_thought_tag);
    if (tag == std::string::npos) {
      held_.erase(0, held_.size() - partial_match_length(held_, end_of_thought_tag));
      return {};
    }
    held_.erase(0, tag + end_of_thought_tag.size());
    inside_ = false;
    leading_ = true;
  }
  if (leading_) {  // line breaks between the tag and the answer belong to neither
    held_.erase(0, held_.find_first_not_of('\n'));
    leading_ = held_.empty();
  }
  return std::exchange(held_, {});
}

std::string ThinkingFilter::finish() {
  const std::string rest = std::exchange(held_, {});
  return inside_ ? std::string() : rest;
}

}  // namespace hearth::engine
