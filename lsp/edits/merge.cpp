// Finds the place again, compares both sides with the base, and writes the edits.
#include "lsp/edits/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "lsp/edits/diff.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

using Numbers = std::vector<std::uint32_t>;

// Lines [begin, end) of the document as it is now that correspond to a target's `all`.
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
};

Refusal moved(std::string reason) {
  return {Refusal::Kind::moved, std::move(reason)};
}

CodeLines lines_of(const Text& text, bool with_empty_end) {
  CodeLines lines;
  lines.reserve(text.lines());
  for (std::size_t i = 0; i < text.lines(); ++i) lines.push_back(text.view(text.line_range(i)));
  if (!with_empty_end && lines.size() > 1 && lines.back().empty()) lines.pop_back();
  return lines;
}

// Where lines that occur once in both say that the base is, with room for what was inserted.
std::optional<Window> window_by_anchors(const Numbers& base, const Numbers& now) {
  constexpr std::size_t slack = 100;
  // A range of the whole document is compared with it as it is.
  if (now.size() <= base.size() + base.size() / 2 + 2 * slack) return Window{0, now.size()};
  struct Count {
    std::size_t in_base = 0;
    std::size_t in_now = 0;
    std::size_t place = 0;  // in base
  };
  std::unordered_map<std::uint32_t, Count> counts;
  for (std::size_t i = 0; i < base.size(); ++i) {
    Count& count = counts[base[i]];
    ++count.in_base;
    count.place = i;
  }
  for (const std::uint32_t line : now) {
    if (const auto found = counts.find(line); found != counts.end()) ++found->second.in_now;
  }
  // The displacement that most anchors have, among those that lie together.
  std::vector<std::size_t> starts;  // where each anchor says that the base begins, plus base.size()
  for (std::size_t j = 0; j < now.size(); ++j) {
    const auto found = counts.find(now[j]);
    if (found == counts.end() || found->second.in_base != 1 || found->second.in_now != 1) continue;
    starts.push_back(j + base.size() - found->second.place);
  }
  if (starts.empty()) return std::nullopt;
  std::ranges::sort(starts);
  const std::size_t width = base.size() / 2 + slack;
  std::size_t best = 0;
  std::size_t best_count = 0;
  for (std::size_t low = 0, high = 0; low < starts.size(); ++low) {
    while (high < starts.size() && starts[high] - starts[low] <= width) ++high;
    if (high - low <= best_count) continue;
    best = low;
    best_count = high - low;
  }
  const std::size_t first = starts[best];
  const std::size_t last = starts[best + best_count - 1];
  return Window{first - std::min(first, base.size() + slack), std::min(now.size(), last + slack)};
}

Checked<Window> find_window(const Numbers& base, Byte offset, const Text& text,
                            const Numbers& now) {
  const std::size_t line = text.line_of(offset);
  const auto is_at = [&](std::size_t place) {
    return place + base.size() <= now.size() &&
           std::equal(base.begin(), base.end(), now.begin() + static_cast<std::ptrdiff_t>(place));
  };
  if (text.line_range(line).begin == offset && is_at(line)) {
    return Window{line, line + base.size()};
  }
  const std::vector<std::size_t> exact = occurrences(base, now, 2);
  if (exact.size() == 1) return Window{exact[0], exact[0] + base.size()};
  if (exact.size() == 2) {
    return moved(
        "the code is in the document twice by now, and it cannot be told which one was "
        "meant");
  }
  if (const auto window = window_by_anchors(base, now)) return *window;
  return moved("the code is not found in the document any more");
}

// Whether so much of the base is still there that comparing makes sense.
bool recognised(const CodeLines& base, std::span<const LineChange> changes) {
  std::size_t total = 0;
  std::size_t lost = 0;
  const auto words = [&](std::size_t begin, std::size_t end) {
    return static_cast<std::size_t>(std::count_if(base.begin() + static_cast<std::ptrdiff_t>(begin),
                                                  base.begin() + static_cast<std::ptrdiff_t>(end),
                                                  has_word));
  };
  total = words(0, base.size());
  for (const LineChange& change : changes) lost += words(change.old_begin, change.old_end);
  const std::size_t kept = total - lost;
  return base.size() < 20 ? kept * 2 >= total : kept * 4 >= total;
}

// The new lines of the whole target, with what its first and last line have outside of the range.
std::vector<std::string> rewritten(const TargetLines& base, std::span<const LinesEdit> edits) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  const auto keep_until = [&](std::size_t end) {
    for (; at < end; ++at) lines.emplace_back(base.lines[at]);
  };
  for (const LinesEdit& edit : edits) {
    keep_until(edit.begin);
    lines.insert(lines.end(), edit.lines.begin(), edit.lines.end());
    at = edit.end;
  }
  keep_until(base.lines.size());
  const bool affixed = !base.before.empty() || !base.after.empty();
  if (lines.empty() && affixed) lines.emplace_back();
  if (affixed) {
    lines.front().insert(0, base.before);
    lines.back().append(base.after);
  }
  return lines;
}

bool touch(const LineChange& one, const LineChange& other) {
  return one.old_begin <= other.old_end && other.old_begin <= one.old_end;
}

// Both sides of the merge.
class Merge {
 public:
  Merge(const TargetLines& base, std::vector<std::string> fresh, const Text& now, Window window,
        const CodeLines& now_lines, std::vector<LineChange> ours, std::vector<LineChange> theirs)
      : base_(base),
        fresh_(std::move(fresh)),
        now_(now),
        window_(window),
        now_lines_(now_lines),
        ours_(std::move(ours)),
        theirs_(std::move(theirs)) {}

  Checked<std::vector<TextEdit>> run() {
    std::vector<TextEdit> edits;
    std::size_t their = 0;
    for (std::size_t our = 0; our < ours_.size();) {
      while (their < theirs_.size() && !meets(theirs_[their], ours_[our]) &&
             theirs_[their].old_end <= ours_[our].old_begin) {
        pass(theirs_[their++]);
      }
      // The changes of both sides that touch one another, in a row.
      const std::size_t first_our = our;
      const std::size_t first_their = their;
      LineChange region = ours_[our++];
      for (bool grown = true; grown;) {
        grown = false;
        while (their < theirs_.size() && meets(theirs_[their], region)) {
          region.old_begin = std::min(region.old_begin, theirs_[their].old_begin);
          region.old_end = std::max(region.old_end, theirs_[their++].old_end);
          grown = true;
        }
        while (our < ours_.size() && touch(ours_[our], region)) {
          region.old_end = std::max(region.old_end, ours_[our++].old_end);
          grown = true;
        }
      }
      if (their == first_their) {
        edits.push_back(edit(ours_[first_our]));
      } else if (!same(region, {first_our, our}, {first_their, their})) {
        return conflict({first_their, their});
      } else {
        for (std::size_t i = first_their; i < their; ++i) pass(theirs_[i]);
      }
    }
    if (edits.empty()) {
      return Refusal{Refusal::Kind::unchanged, "the document has these changes already"};
    }
    return edits;
  }

 private:
  using Run = std::pair<std::size_t, std::size_t>;

  // Lines that were inserted at the end of what is known of the document are no change of it.
  bool meets(const LineChange& their, const LineChange& our) const {
    const bool outside = their.old_begin == their.old_end &&
                         (their.old_end == 0 || their.old_begin == base_.all.size()) &&
                         our.old_begin < our.old_end;
    return !outside && touch(their, our);
  }

  void pass(const LineChange& their) {
    shift_ += static_cast<std::ptrdiff_t>(their.new_end - their.new_begin) -
              static_cast<std::ptrdiff_t>(their.old_end - their.old_begin);
  }

  // Lines of the base before all changes that were not passed, as lines of the document.
  std::size_t in_now(std::size_t base_line) const {
    return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(window_.begin + base_line) +
                                    shift_);
  }

  bool same(const LineChange& region, Run ours, Run theirs) const {
    return side(region, ours, ours_, [&](std::size_t i) -> std::string_view {
             return trimmed_right(fresh_[i - base_.first]);
           }) == side(region, theirs, theirs_, [&](std::size_t i) {
             return trimmed_right(now_lines_[window_.begin + i]);
           });
  }

  template <class Line>
  CodeLines side(const LineChange& region, Run run, const std::vector<LineChange>& changes,
                 const Line& line) const {
    CodeLines lines;
    std::size_t at = region.old_begin;
    for (std::size_t i = run.first; i < run.second; ++i) {
      for (; at < changes[i].old_begin; ++at) lines.push_back(trimmed_right(base_.all[at]));
      for (std::size_t j = changes[i].new_begin; j < changes[i].new_end; ++j) {
        lines.push_back(line(j));
      }
      at = changes[i].old_end;
    }
    for (; at < region.old_end; ++at) lines.push_back(trimmed_right(base_.all[at]));
    return lines;
  }

  // `theirs`: the changes that ours touch, at least one.
  Refusal conflict(Run theirs) const {
    const std::size_t begin = window_.begin + theirs_[theirs.first].new_begin + 1;
    const std::size_t end = window_.begin + theirs_[theirs.second - 1].new_end;
    std::string reason;
    if (end < begin && begin == 1) {
      reason = "lines at the document's beginning have been removed since";
    } else if (end < begin) {
      reason = fmt::format("lines after line {} have been removed since", begin - 1);
    } else if (end == begin) {
      reason = fmt::format("line {} has changed since in another way", begin);
    } else {
      reason = fmt::format("lines {} to {} have changed since in another way", begin, end);
    }
    return {Refusal::Kind::conflict, std::move(reason)};
  }

  // The ending of `line`, of one beside it where it has none, or of the base.
  std::string_view ending(std::size_t line) const {
    line = std::min(line, now_.lines() - 1);
    if (const std::string_view here = now_.line_ending(now_.line_start(line)); !here.empty()) {
      return here;
    }
    const std::string_view old = base_.text.line_ending(Byte{0});
    return old.empty() ? std::string_view("\n") : old;
  }

  TextEdit edit(const LineChange& our) const {
    const std::size_t begin = in_now(our.old_begin);
    const std::size_t end = in_now(our.old_end);
    const auto start_of = [&](std::size_t line) { return now_.line_range(line).begin; };
    std::string text;
    if (begin == end) {  // insertion
      if (begin < now_.lines()) {
        const std::string_view its_ending = ending(begin > 0 ? begin - 1 : 0);
        for (std::size_t i = our.new_begin; i < our.new_end; ++i) {
          text.append(fresh_[i - base_.first]).append(its_ending);
        }
        return {{start_of(begin), start_of(begin)}, std::move(text)};
      }
      for (std::size_t i = our.new_begin; i < our.new_end; ++i) {
        text.append(ending(begin)).append(fresh_[i - base_.first]);
      }
      const Byte at{now_.str().size()};
      return {{at, at}, std::move(text)};
    }
    if (our.new_begin == our.new_end) {  // deletion, with the lines' endings
      if (end < now_.lines()) return {{start_of(begin), now_.line_start(end)}, {}};
      const Byte from = begin > 0 ? now_.line_end(begin - 1) : start_of(0);
      return {{from, Byte{now_.str().size()}}, {}};
    }
    for (std::size_t i = our.new_begin; i < our.new_end; ++i) {
      if (i > our.new_begin) text += ending(std::min(begin + i - 1 - our.new_begin, end - 1));
      text += fresh_[i - base_.first];
    }
    return {{start_of(begin), now_.line_end(end - 1)}, std::move(text)};
  }

  const TargetLines& base_;
  std::vector<std::string> fresh_;  // new lines of the range; line 0 is base_.first
  const Text& now_;
  Window window_;
  const CodeLines& now_lines_;
  std::vector<LineChange> ours_;    // old: lines of base_.all; new: likewise, after the change
  std::vector<LineChange> theirs_;  // old: lines of base_.all; new: lines of the window
  std::ptrdiff_t shift_ = 0;        // what their changes so far have moved lines by
};

// Changes of the range, in lines of all of the base.
std::vector<LineChange> our_changes(const TargetLines& base,
                                    const std::vector<std::string>& fresh) {
  LineNumbers numbers;
  Numbers before;
  Numbers after;
  for (std::size_t i = base.first; i < base.end; ++i) before.push_back(numbers[base.all[i]]);
  for (const std::string& line : fresh) after.push_back(numbers[line]);
  std::vector<LineChange> changes = line_changes(before, after);
  for (LineChange& change : changes) {
    change.old_begin += base.first;
    change.old_end += base.first;
    change.new_begin += base.first;
    change.new_end += base.first;
  }
  return changes;
}

}  // namespace

Checked<std::vector<TextEdit>> merge(const TargetLines& base, Byte offset,
                                     std::span<const LinesEdit> edits, const Text& now) {
  std::vector<std::string> fresh = rewritten(base, edits);
  std::vector<LineChange> ours = our_changes(base, fresh);
  if (ours.empty()) {
    return Refusal{Refusal::Kind::unchanged, "the answer is the code as it is: nothing to change"};
  }
  const bool to_the_empty_end = base.end == base.all.size() && base.all.back().empty();
  const CodeLines now_lines = lines_of(now, to_the_empty_end);
  LineNumbers numbers;
  const Numbers base_numbers = numbers.of(base.all);
  const Numbers now_numbers = numbers.of(now_lines);
  Checked<Window> found = find_window(base_numbers, offset, now, now_numbers);
  if (const auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
  const Window window = std::get<Window>(found);
  const std::span<const std::uint32_t> in_window(now_numbers.data() + window.begin,
                                                 window.end - window.begin);
  std::vector<LineChange> theirs = line_changes(base_numbers, in_window);
  if (!recognised(base.all, theirs)) return moved("the code is not found in the document any more");
  return Merge(base, std::move(fresh), now, window, now_lines, std::move(ours), std::move(theirs))
      .run();
}

}  // namespace hearth::lsp
