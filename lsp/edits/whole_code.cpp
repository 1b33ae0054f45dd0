// Finds the code in an answer that has prose, several blocks, or fences that are missing or part of
// the code.
#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/edits/answer.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::size_t max_fences = 48;  // more are read in the simplest way only

struct Fence {
  std::size_t line;
  std::size_t indentation;
  char mark;
  std::size_t length;
  bool named;  // has a word behind it, so it can only open
};

std::optional<Fence> fence_at(std::string_view line, std::size_t index) {
  const std::size_t left = indentation(line).size();
  line = trimmed(line);
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return std::nullopt;
  const char mark = line.front();
  const std::size_t length = std::min(line.find_first_not_of(mark), line.size());
  if (length < 3) return std::nullopt;
  const std::string_view info = line.substr(length);
  if (info.find('`') != info.npos) return std::nullopt;
  return Fence{index, left, mark, length, !is_blank(info)};
}

// Fences of the code, in a docstring say, are often indented with it; those around it are not.
bool same_kind(const Fence& one, const Fence& other) {
  return one.mark == other.mark && one.indentation == other.indentation;
}

bool may_close(const Fence& closing, const Fence& opening) {
  return !closing.named && same_kind(closing, opening) && closing.length >= opening.length;
}

// Whether fences pair up: each opened one closed by the next that may, or else one inside another.
bool balanced(std::span<const Fence> fences) {
  const Fence* open = nullptr;
  for (const Fence& fence : fences) {
    if (open == nullptr) {
      open = &fence;
    } else if (may_close(fence, *open)) {
      open = nullptr;
    }
  }
  if (open == nullptr) return true;
  std::vector<const Fence*> nested;
  for (const Fence& fence : fences) {
    if (!nested.empty() && may_close(fence, *nested.back())) {
      nested.pop_back();
    } else {
      nested.push_back(&fence);
    }
  }
  return nested.empty();
}

// Lines [begin, end) of the answer that may be the code.
struct Block {
  std::size_t begin;
  std::size_t end;
  bool opened = true;  // there is a fence before it
  bool closed = true;  // and behind it
  bool named = false;  // the fence before it names a language
  double likeness = 0;
  bool quote = false;  // nothing in it is new, and it has less than the code
  bool same = false;   // as the code

  bool contains(const Block& other) const { return begin <= other.begin && other.end <= end; }
};

class Reader {
 public:
  Reader(std::string_view answer, std::span<const std::string_view> code)
      : lines_(code_lines(answer)), code_(code) {
    for (const std::string_view line : code) {
      if (has_word(line)) ++code_words_;
      known_.insert(trimmed(line));
    }
    words_.reserve(lines_.size() + 1);
    old_.reserve(lines_.size() + 1);
    words_.push_back(0);
    old_.push_back(0);
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const bool word = has_word(lines_[i]);
      words_.push_back(words_.back() + (word ? 1U : 0U));
      old_.push_back(old_.back() + (word && known_.contains(trimmed(lines_[i])) ? 1U : 0U));
      if (const auto fence = fence_at(lines_[i], i)) fences_.push_back(*fence);
    }
  }

  Checked<CodeLines> read() {
    if (is_blank_range(0, lines_.size())) {
      return Refusal{Refusal::Kind::no_code, "the answer is empty"};
    }
    std::vector<Block> blocks = fenced_blocks();
    const bool fenced = !blocks.empty();
    if (blocks.empty()) blocks = open_blocks();
    for (Block& block : blocks) measure(block);
    Checked<Block> chosen = choose(std::move(blocks));
    if (auto* refusal = std::get_if<Refusal>(&chosen)) return std::move(*refusal);
    Block block = std::get<Block>(chosen);
    if (!fenced) {
      if (auto refusal = trim_prose(block)) return std::move(*refusal);
    }
    if (code_has_fences() && leaves_code_outside(block)) {
      return Refusal{Refusal::Kind::no_code,
                     "the answer has fences that may be the code's or around it"};
    }
    if (is_diff(block)) {
      return Refusal{Refusal::Kind::no_code, "the answer is a diff and not the new code"};
    }
    if (is_foreign(block)) {
      return Refusal{Refusal::Kind::no_code, "the answer's block is not like the code at all"};
    }
    if (block.quote && is_part(block)) {
      return Refusal{Refusal::Kind::no_code, "the answer has only a part of the code"};
    }
    return code_of(block);
  }

 private:
  bool is_blank_range(std::size_t begin, std::size_t end) const {
    return std::all_of(lines_.begin() + static_cast<std::ptrdiff_t>(begin),
                       lines_.begin() + static_cast<std::ptrdiff_t>(end), is_blank);
  }

  bool known(std::size_t line) const { return known_.contains(trimmed(lines_[line])); }

  // Blocks with both fences, such that all others pair up too.
  std::vector<Block> fenced_blocks() const {
    std::vector<Block> blocks;
    const std::span<const Fence> all = fences_;
    if (all.size() > max_fences) {
      for (std::size_t i = 0; i < all.size(); ++i) {
        std::size_t j = i + 1;
        while (j < all.size() && !may_close(all[j], all[i])) ++j;
        if (j == all.size()) return {};
        blocks.push_back({all[i].line + 1, all[j].line, true, true, all[i].named});
        i = j;
      }
      // One that holds all others is the only other reading.
      if (!all.back().named && may_close(all.back(), all.front())) {
        blocks.push_back({all.front().line + 1, all.back().line, true, true, all.front().named});
      }
      return blocks;
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!balanced(all.first(i))) continue;
      for (std::size_t j = i + 1; j < all.size(); ++j) {
        if (!may_close(all[j], all[i]) || !balanced(all.subspan(j + 1))) continue;
        if (!balanced(inside(i, j))) continue;
        blocks.push_back({all[i].line + 1, all[j].line, true, true, all[i].named});
      }
    }
    return blocks;
  }

  // The fences between two that are of their kind; shorter ones are text.
  std::vector<Fence> inside(std::size_t i, std::size_t j) const {
    std::vector<Fence> found;
    for (std::size_t at = i + 1; at < j; ++at) {
      const Fence& fence = fences_[at];
      if (same_kind(fence, fences_[i]) && fence.length >= fences_[i].length) {
        found.push_back(fence);
      }
    }
    return found;
  }

  // Where a fence is missing: all that is behind one or before one, or all of the answer.
  std::vector<Block> open_blocks() const {
    if (fences_.empty()) return {{0, lines_.size(), false, false}};
    std::vector<Block> blocks;
    if (fences_.size() > max_fences) return blocks;
    const std::span<const Fence> all = fences_;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (balanced(all.first(i)) && balanced(all.subspan(i + 1))) {
        if (!is_blank_range(all[i].line + 1, lines_.size())) {
          blocks.push_back({all[i].line + 1, lines_.size(), true, false, all[i].named});
        }
        if (!all[i].named && !is_blank_range(0, all[i].line)) {
          blocks.push_back({0, all[i].line, false, true});
        }
      }
    }
    return blocks;
  }

  void measure(Block& block) const {
    const std::size_t words = words_[block.end] - words_[block.begin];
    const std::size_t old = old_[block.end] - old_[block.begin];
    const std::size_t all = words + code_words_;
    block.likeness =
        all == 0 ? 0
                 : 2.0 * static_cast<double>(std::min(old, code_words_)) / static_cast<double>(all);
    block.quote = words > 0 && old == words && words < code_words_;
    block.same = words == code_words_ && old == words &&
                 std::ranges::equal(code_of(block), code_, {}, trimmed, trimmed);
  }

  // Without blank lines at its ends.
  CodeLines code_of(const Block& block) const {
    std::size_t begin = block.begin;
    std::size_t end = block.end;
    while (begin < end && is_blank(lines_[begin])) ++begin;
    while (end > begin && is_blank(lines_[end - 1])) --end;
    CodeLines code(lines_.begin() + static_cast<std::ptrdiff_t>(begin),
                   lines_.begin() + static_cast<std::ptrdiff_t>(end));
    if (!code.empty() && code.front().starts_with(byte_order_mark)) {
      code.front().remove_prefix(byte_order_mark.size());
    }
    return code;
  }

  // Lines that have more in common than not.
  static bool alike(std::string_view one, std::string_view other) {
    one = trimmed(one);
    const std::size_t longer = std::max(one.size(), other.size());
    std::size_t same = 0;
    while (same < std::min(one.size(), other.size()) && one[same] == other[same]) ++same;
    one.remove_prefix(same);
    other.remove_prefix(same);
    std::size_t end = 0;
    while (end < std::min(one.size(), other.size()) &&
           one[one.size() - 1 - end] == other[other.size() - 1 - end]) {
      ++end;
    }
    return (same + end) * 2 >= longer;
  }

  bool equal(const Block& one, const Block& other) const {
    return std::ranges::equal(code_of(one), code_of(other), {}, trimmed_right, trimmed_right);
  }

  Checked<Block> choose(std::vector<Block> blocks) const {
    std::erase_if(blocks,
                  [&](const Block& block) { return is_blank_range(block.begin, block.end); });
    if (blocks.empty()) return Refusal{Refusal::Kind::no_code, "the answer has no code"};
    if (blocks.size() == 1) return blocks.front();
    const std::vector<Block> all = blocks;
    // What is quoted before it is changed is not the answer, if there is another one.
    const auto is_new = [](const Block& block) {
      return !block.same && !block.quote && block.likeness >= 0.25;
    };
    if (std::ranges::any_of(blocks, is_new)) {
      std::erase_if(blocks, [](const Block& block) { return block.same || block.quote; });
    }
    const Block best = *std::ranges::max_element(blocks, [](const Block& one, const Block& other) {
      return std::pair(one.likeness, one.end - one.begin) <
             std::pair(other.likeness, other.end - other.begin);
    });
    if (best.likeness == 0) {
      return Refusal{Refusal::Kind::no_code,
                     "the answer has several blocks, and none of them is like the code"};
    }
    if (holds_blocks(best, all)) {
      return Refusal{Refusal::Kind::no_code,
                     "the answer has fences that may be the code's or around it"};
    }
    for (const Block& rival : blocks) {
      if (rival.likeness < 0.5 * best.likeness || equal(rival, best)) continue;
      if (!clearly_better(best, rival)) {
        return Refusal{Refusal::Kind::no_code,
                       "the answer has several blocks that may be the new code"};
      }
    }
    return best;
  }

  // Whether its fences may be those of blocks instead.
  bool holds_blocks(const Block& block, const std::vector<Block>& all) const {
    return !fences_are_known(block) && std::ranges::any_of(all, [&](const Block& other) {
      return block.contains(other) && !other.contains(block);
    });
  }

  // Between blocks that both have much of the code.
  bool clearly_better(const Block& best, const Block& rival) const {
    if (best.contains(rival)) return true;  // its fences are the code's
    if (!rival.contains(best)) return rival.likeness < 0.5;
    // With more blocks behind it, or all of that part of the code? Blocks have prose between them.
    std::size_t next = best.end + 1;
    bool prose = false;
    for (; next < rival.end && !fence_at(lines_[next], next); ++next) {
      if (is_blank(lines_[next])) continue;
      if (known(next) || !is_prose(lines_[next])) return false;
      prose = true;
    }
    return prose && best.begin == rival.begin && !code_has_fences() &&
           old_[rival.end] == old_[best.end];
  }

  bool fences_are_known(const Block& block) const {
    return std::ranges::all_of(fences_, [&](const Fence& fence) {
      return fence.line < block.begin || fence.line >= block.end || known(fence.line);
    });
  }

  bool code_has_fences() const {
    return std::ranges::any_of(code_,
                               [](std::string_view line) { return fence_at(line, 0).has_value(); });
  }

  // Whether the answer has lines of the code that the block has not.
  bool leaves_code_outside(const Block& block) const {
    std::unordered_set<std::string_view> inside;
    for (std::size_t i = block.begin; i < block.end; ++i) inside.insert(trimmed(lines_[i]));
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (has_word(lines_[i]) && known(i) && !inside.contains(trimmed(lines_[i]))) return true;
    }
    return false;
  }

  // A sentence, or an item of a list. In code only comments and strings look so.
  static bool is_prose(std::string_view line) {
    line = trimmed(line);
    if (line.empty()) return false;
    if (line.starts_with("- ") || line.starts_with("**")) return true;
    const bool sentence = line.front() >= 'A' && line.front() <= 'Z' &&
                          std::string_view(".!?:").find(line.back()) != std::string_view::npos;
    if (sentence && line.find_first_of("(){}[];=<>") == line.npos) return true;
    std::size_t words = 0;
    std::size_t letters = 0;
    bool in_word = false;
    for (const char c : line) {
      const bool letter = is_word_byte(c);
      letters += letter || c == ' ' ? 1 : 0;
      words += letter && !in_word ? 1 : 0;
      in_word = letter;
    }
    return words >= 3 && letters * 10 >= line.size() * 8;
  }

  // Where a fence is missing, the code begins and ends with lines of the old code, or at least not
  // with prose.
  std::optional<Refusal> trim_prose(Block& block) const {
    const bool unfenced = !block.opened && !block.closed;
    const auto refuse = [&](const char* reason) {
      return Refusal{Refusal::Kind::no_code,
                     unfenced ? "the answer has no fenced block of code" : reason};
    };
    while (block.begin < block.end && is_blank(lines_[block.begin])) ++block.begin;
    while (block.end > block.begin && is_blank(lines_[block.end - 1])) --block.end;
    const auto said = std::ranges::find_if_not(code_, is_blank);
    if (said == code_.end()) return refuse("the answer has no fenced block of code");
    const std::string_view first = trimmed(*said);
    std::string_view last;
    for (const std::string_view line : code_) last = is_blank(line) ? last : trimmed(line);
    const auto prose = [&](std::size_t line) { return !known(line) && is_prose(lines_[line]); };
    const auto all_prose = [&](std::size_t begin, std::size_t end) {
      while (begin < end && (is_blank(lines_[begin]) || prose(begin))) ++begin;
      return begin == end;
    };

    if (!block.opened && prose(block.begin)) {
      std::size_t at = block.begin;
      while (at < block.end && trimmed(lines_[at]) != first) ++at;
      if (at == block.end || !all_prose(block.begin, at)) {
        return refuse("the answer has no fence before its code");
      }
      block.begin = at;
    }
    if (!block.closed && prose(block.end - 1)) {
      std::size_t at = block.end;
      while (at > block.begin && trimmed(lines_[at - 1]) != last) --at;
      if (at == block.begin || !all_prose(at, block.end)) {
        return refuse("the answer has no fence behind its code");
      }
      block.end = at;
    }
    measure(block);
    const bool edges =
        trimmed(lines_[block.begin]) == first && trimmed(lines_[block.end - 1]) == last;
    // What is not between fences and not of the code may be said about it, or a tag around it.
    const bool begins = block.opened || alike(lines_[block.begin], first);
    const bool ends = block.closed || alike(lines_[block.end - 1], last);
    if (!begins || !ends) return refuse("the answer has a fence on one side of its code only");
    if (block.likeness >= 0.5 || (edges && block.likeness >= 0.2)) return std::nullopt;
    return refuse("the answer has no fenced block of code");
  }

  // Lines that begin with + and -, or a diff's heads, where the code has no such lines.
  bool is_diff(const Block& block) const {
    bool adds = false;
    bool removes = false;
    for (std::size_t i = block.begin; i < block.end; ++i) {
      const std::string_view line = lines_[i];
      if (known(i)) continue;
      if (line.starts_with("@@ -") ||
          (line.starts_with("--- ") && i + 1 < block.end && lines_[i + 1].starts_with("+++ "))) {
        return true;
      }
      adds = adds || line.starts_with('+');
      removes = removes || (line.starts_with('-') && has_word(line) &&
                            known_.contains(trimmed(line.substr(1))));
    }
    return adds && removes;
  }

  // No line and hardly a word is the code's: a command to run, say. Of little code all may change.
  bool is_foreign(const Block& block) const {
    if (block.likeness > 0 || code_words_ <= 2) return false;
    std::unordered_set<std::string_view> words;
    const auto for_words = [](std::string_view line, const auto& use) {
      while (!line.empty()) {
        const auto begin = std::ranges::find_if(line, is_word_byte);
        const auto end = std::find_if_not(begin, line.end(), is_word_byte);
        if (end - begin > 1) use(std::string_view(begin, end));
        line = std::string_view(end, line.end());
      }
    };
    for (const std::string_view line : code_) {
      for_words(line, [&](std::string_view word) { words.insert(word); });
    }
    std::size_t all = 0;
    std::size_t shared = 0;
    for (std::size_t i = block.begin; i < block.end; ++i) {
      for_words(lines_[i], [&](std::string_view word) {
        ++all;
        shared += words.contains(word) ? 1 : 0;
      });
    }
    return shared * 4 < all;
  }

  // A few lines of the code from its middle.
  bool is_part(const Block& block) const {
    const std::size_t words = words_[block.end] - words_[block.begin];
    if (words * 2 >= code_words_) return false;
    const CodeLines content = code_of(block);
    const auto first = std::ranges::find_if(code_, has_word);
    const auto last = std::find_if(code_.rbegin(), code_.rend(), has_word);
    const auto has = [&](std::string_view line) {
      return std::ranges::find(content, trimmed(line), trimmed) != content.end();
    };
    return first != code_.end() && (!has(*first) || !has(*last));
  }

  CodeLines lines_;
  std::span<const std::string_view> code_;
  std::size_t code_words_ = 0;  // lines of the code that say something
  std::unordered_set<std::string_view> known_;
  std::vector<std::size_t> words_;  // how many lines before each say something
  std::vector<std::size_t> old_;    // and of these, how many the code has
  std::vector<Fence> fences_;
};

}  // namespace

Checked<CodeLines> read_whole_code(std::string_view answer,
                                   std::span<const std::string_view> code) {
  return Reader(answer, code).read();
}

}  // namespace hearth::lsp
