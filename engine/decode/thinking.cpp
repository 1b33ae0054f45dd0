// ThinkingFilter: parts a thinking model's thought, up to </think>, from its answer.
#include <utility>

#include "engine/decode/partial_match.hpp"
#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {
std::string ThinkingFilter::push(std::string_view text) {
  held_ += text;
  if (inside_) {
    const std::size_t tag = held_.find(end_of_thought_tag);
    const bool closed = tag != std::string::npos;
    const std::size_t end =
        closed ? tag : held_.size() - partial_match_length(held_, end_of_thought_tag);
    thought_ += std::string_view(held_).substr(0, end);
    held_.erase(0, end);
    if (!closed) return {};
    held_.erase(0, end_of_thought_tag.size());
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
  std::string rest = std::exchange(held_, {});
  if (!inside_) return rest;
  thought_ += rest;
  return {};
}

std::string ThinkingFilter::take_thought() {
  return std::exchange(thought_, {});
}

}  // namespace hearth::engine
