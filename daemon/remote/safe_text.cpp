// Which texts may be special tokens: anything of the form <|…|>, and the names that published
// vocabularies have beside that.
#include "daemon/remote/safe_text.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hearth::daemon {
namespace {

constexpr std::string_view space = "\u200b";
constexpr std::size_t longest_name = 64;
constexpr auto names = std::to_array<std::string_view>({"<think>",
                                                        "</think>",
                                                        "<tool_call>",
                                                        "</tool_call>",
                                                        "<tool_response>",
                                                        "</tool_response>",
                                                        "<start_of_turn>",
                                                        "<end_of_turn>",
                                                        "<fim_prefix>",
                                                        "<fim_suffix>",
                                                        "<fim_middle>",
                                                        "<fim_pad>",
                                                        "<file_sep>",
                                                        "<repo_name>",
                                                        "<reponame>",
                                                        "<filename>",
                                                        "<s>",
                                                        "</s>",
                                                        "<bos>",
                                                        "<eos>",
                                                        "<pad>",
                                                        "<unk>",
                                                        "<mask>",
                                                        "<endoftext>",
                                                        "[INST]",
                                                        "[/INST]",
                                                        "[TOOL_CALLS]",
                                                        "[SUFFIX]",
                                                        "[PREFIX]",
                                                        "[MIDDLE]"});

// "<|name|>" and, with full-width bars, "<｜name｜>".
bool is_barred(std::string_view text) {
  for (const std::string_view bar : {std::string_view("|"), std::string_view("｜")}) {
    const std::string_view rest = text.substr(1);
    if (!rest.starts_with(bar)) continue;
    const std::size_t end = rest.find(std::string(bar) + ">", bar.size());
    if (end == rest.npos || end > longest_name) continue;
    if (rest.substr(0, end).find('\n') == rest.npos) return true;
  }
  return false;
}

bool may_be_special(std::string_view text) {
  return is_barred(text) ||
         std::ranges::any_of(names, [&](std::string_view name) { return text.starts_with(name); });
}

}  // namespace

std::string broken_up(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const std::size_t at = std::min(text.find_first_of("<["), text.size());
    safe += text.substr(0, at);
    text.remove_prefix(at);
    if (text.empty()) break;
    const bool special = may_be_special(text);
    safe += text.front();
    if (special) safe += space;
    text.remove_prefix(1);
  }
  return safe;
}

std::string JoinedText::push(std::string_view text) {
  const std::string all = std::exchange(held_, {}) + std::string(text);
  std::string joined;
  for (std::size_t at = 0; at < all.size();) {
    const char c = all[at++];
    joined += c;
    if (c != '<' && c != '[') continue;
    const std::string_view next = std::string_view(all).substr(at, space.size());
    if (next == space) {
      at += space.size();
    } else if (space.starts_with(next) && at + next.size() == all.size()) {
      joined.pop_back();
      held_ = all.substr(at - 1);
      break;
    }
  }
  return joined;
}

std::string JoinedText::finish() {
  return std::exchange(held_, {});
}

}  // namespace hearth::daemon
