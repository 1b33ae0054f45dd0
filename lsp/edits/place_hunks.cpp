// Finds each hunk's SEARCH lines, exactly first and then less so.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/edits/hunks.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// Line comparisons for all hunks of an answer; usual ones need some thousands.
constexpr std::size_t search_budget = 20'000'000;
constexpr std::size_t max_candidates = 50;
constexpr std::size_t max_variants = 2;  // of outer_indentations()

// How much of a line has to be the same.
enum class Likeness : std::uint8_t { exact, but_for_blanks_at_its_end, but_for_indentation };
constexpr std::array likenesses{Likeness::exact, Likeness::but_for_blanks_at_its_end,
                                Likeness::but_for_indentation};

std::string_view compared(std::string_view line, Likeness likeness) {
  if (likeness == Likeness::exact) return line;
  return likeness == Likeness::but_for_indentation ? trimmed(line) : trimmed_right(line);
}

// A target as it may have been shown, ready to be searched.
struct Searched {
  Searched(const TargetLines& target, std::string_view outer) : shown(target, outer) {
    for (std::size_t i = 0; i < likenesses.size(); ++i) {
      lines[i].reserve(shown.lines.size());
      for (const std::string_view line : shown.lines) {
        lines[i].push_back(numbers[i][compared(line, likenesses[i])]);
      }
    }
  }

  ShownLines shown;
  std::array<LineNumbers, 3> numbers;
  std::array<std::vector<std::uint32_t>, 3> lines;
};

// A place where SEARCH lines are, and REPLACE lines with the indentation of that place.
struct Found {
  std::size_t target = 0;
  LinesEdit edit;
};

Refusal no_match(std::size_t number, std::string_view what) {
  return {Refusal::Kind::no_match, fmt::format("block {} of the answer {}", number, what)};
}

// What the model's indentation has too much or lacks against that of the code, in every line.
struct Shift {
  std::string_view left;
  bool missing = false;  // else: too much
};

std::optional<Shift> shift_between(std::span<const std::string_view> search,
                                   std::span<const std::string_view> code) {
  std::optional<Shift> shift;
  for (std::size_t i = 0; i < search.size(); ++i) {
    if (is_blank(search[i])) continue;
    const std::string_view wrote = indentation(search[i]);
    const std::string_view has = indentation(code[i]);
    if (!shift) {
      const bool missing = has.size() >= wrote.size();
      const std::string_view longer = missing ? has : wrote;
      shift = Shift{longer.substr(0, longer.size() - std::min(has.size(), wrote.size())), missing};
    }
    const std::string_view shorter = shift->missing ? wrote : has;
    const std::string_view longer = shift->missing ? has : wrote;
    if (longer.size() != shift->left.size() + shorter.size() || !longer.starts_with(shift->left) ||
        !longer.ends_with(shorter)) {
      return std::nullopt;
    }
  }
  return shift;
}

class Placer {
 public:
  explicit Placer(std::span<const HunkTarget> targets) : targets_(targets) {
    for (const HunkTarget& target : targets) {
      auto& variants = searched_.emplace_back();
      for (const std::string_view outer : outer_indentations(*target.lines)) {
        variants.push_back(std::make_unique<Searched>(*target.lines, outer));
      }
    }
  }

  // Nothing: a block that changes nothing.
  Checked<std::optional<Found>> place(const AnswerHunk& hunk, std::size_t number) {
    std::vector<std::size_t> candidates;
    if (auto refusal = named_targets(hunk.path, candidates)) return std::move(*refusal);
    // The code may have lines like the divider: the one that makes most of it a part of SEARCH.
    std::optional<Found> best;
    std::size_t best_divider = 0;
    std::optional<Refusal> refusal;
    for (const std::size_t divider : hunk.dividers) {
      const std::span<const std::string_view> all = hunk.lines;
      const auto search = all.first(divider);
      const auto replace = all.subspan(divider + 1);
      if (hunk.dividers.size() == 1 &&
          std::ranges::equal(search, replace, {}, trimmed_right, trimmed_right)) {
        return std::optional<Found>{};
      }
      Checked<Found> found = find(search, replace, candidates, number);
      if (budget_used_ > search_budget) {
        return Refusal{Refusal::Kind::too_large, "the answer has too much to look for"};
      }
      if (auto* why = std::get_if<Refusal>(&found)) {
        // Of several readings, one that is found but twice tells more.
        if (!refusal || why->kind == Refusal::Kind::ambiguous) refusal = std::move(*why);
      } else if (!best || divider > best_divider) {
        best = std::get<Found>(std::move(found));
        best_divider = divider;
      }
    }
    if (best) return best;
    return std::move(*refusal);
  }

 private:
  // The targets that a path may mean: all for none.
  std::optional<Refusal> named_targets(std::string_view path,
                                       std::vector<std::size_t>& found) const {
    found = targets_named(path, targets_);
    const std::size_t blank = path.rfind(' ');
    if (found.empty() && !path.empty() && blank == path.npos) {
      return Refusal{
          Refusal::Kind::no_match,
          fmt::format("the answer changes {}, which it was not asked about", path.substr(0, 100))};
    }
    if (found.empty()) {
      for (std::size_t i = 0; i < targets_.size(); ++i) found.push_back(i);
    }
    return std::nullopt;
  }

  Checked<Found> find(std::span<const std::string_view> search,
                      std::span<const std::string_view> replace,
                      std::span<const std::size_t> candidates, std::size_t number) {
    if (std::ranges::all_of(search, is_blank)) {
      for (const std::size_t target : candidates) {
        const TargetLines& lines = *targets_[target].lines;
        if (candidates.size() == 1 && std::ranges::all_of(lines.lines, is_blank)) {
          Checked<LinesEdit> edit = fit_whole(lines, replace);
          if (auto* refusal = std::get_if<Refusal>(&edit)) return std::move(*refusal);
          return Found{target, std::get<LinesEdit>(std::move(edit))};
        }
      }
      return no_match(number, "has no SEARCH lines, so it does not say where it belongs");
    }
    Checked<Found> found = find_as_it_is(search, replace, candidates, number);
    const auto missed = [&] {
      const auto* refusal = std::get_if<Refusal>(&found);
      return refusal != nullptr && refusal->kind == Refusal::Kind::no_match;
    };
    if (missed()) {
      // Fences inside of the markers, and blank lines at the ends, are no lines of the code.
      auto bare_search = without_fence(search);
      auto bare_replace = without_fence(replace);
      while (!bare_search.empty() && is_blank(bare_search.front())) {
        bare_search = bare_search.subspan(1);
        if (!bare_replace.empty() && is_blank(bare_replace.front())) {
          bare_replace = bare_replace.subspan(1);
        }
      }
      while (!bare_search.empty() && is_blank(bare_search.back())) {
        bare_search = bare_search.first(bare_search.size() - 1);
        if (!bare_replace.empty() && is_blank(bare_replace.back())) {
          bare_replace = bare_replace.first(bare_replace.size() - 1);
        }
      }
      if (!bare_search.empty() && bare_search.size() < search.size()) {
        Checked<Found> bare = find_as_it_is(bare_search, bare_replace, candidates, number);
        if (std::holds_alternative<Found>(bare)) return bare;
      }
    }
    return found;
  }

  static std::span<const std::string_view> without_fence(std::span<const std::string_view> lines) {
    if (lines.size() < 2 || !trimmed(lines.front()).starts_with("```") ||
        trimmed(lines.back()) != "```") {
      return lines;
    }
    return lines.subspan(1, lines.size() - 2);
  }

  Checked<Found> find_as_it_is(std::span<const std::string_view> search,
                               std::span<const std::string_view> replace,
                               std::span<const std::size_t> candidates, std::size_t number) {
    CodeLines both(search.begin(), search.end());
    both.insert(both.end(), replace.begin(), replace.end());
    // The likelier way in which the code was shown goes first.
    for (std::size_t variant = 0; variant < max_variants; ++variant) {
      for (std::size_t level = 0; level < likenesses.size(); ++level) {
        std::optional<Found> found;
        for (const std::size_t target : candidates) {
          if (variant >= searched_[target].size()) continue;
          const Searched& searched = *searched_[target][variant];
          for (const std::vector<std::string>& style : in_style_of(*targets_[target].lines, both)) {
            const CodeLines lines(style.begin(), style.end());
            const std::span<const std::string_view> all = lines;
            const auto wanted = all.first(search.size());
            const std::vector<std::size_t> places = places_of(searched, wanted, level);
            if (places.empty()) continue;
            if (places.size() > 1 || (found && found->target != target)) {
              return Refusal{Refusal::Kind::ambiguous,
                             fmt::format("the SEARCH lines of block {} of the answer are in the "
                                         "code more than once",
                                         number)};
            }
            if (found) continue;
            found = fitted(target, searched, wanted, all.subspan(search.size()), places.front());
            if (!found) {
              return no_match(number,
                              "has REPLACE lines that are not indented as its SEARCH lines");
            }
          }
        }
        if (found) return std::move(*found);
      }
    }
    return no_match(number, "has SEARCH lines that are not in the code");
  }

  // At most some; more than one is too many.
  std::vector<std::size_t> places_of(const Searched& searched,
                                     std::span<const std::string_view> wanted, std::size_t level) {
    budget_used_ += wanted.size();
    std::vector<std::uint32_t> numbers;
    for (const std::string_view line : wanted) {
      const auto found = searched.numbers[level].find(compared(line, likenesses[level]));
      if (!found) return {};
      numbers.push_back(*found);
    }
    budget_used_ += searched.lines[level].size();
    std::vector<std::size_t> places = occurrences(numbers, searched.lines[level], max_candidates);
    if (likenesses[level] == Likeness::but_for_indentation && places.size() < max_candidates) {
      std::erase_if(places, [&](std::size_t place) {
        budget_used_ += wanted.size();
        return !shift_between(wanted, std::span(searched.shown.lines).subspan(place));
      });
    }
    return places;
  }

  std::optional<Found> fitted(std::size_t target, const Searched& searched,
                              std::span<const std::string_view> wanted,
                              std::span<const std::string_view> replace, std::size_t place) const {
    const ShownLines& shown = searched.shown;
    const auto shift = shift_between(wanted, std::span(shown.lines).subspan(place));
    std::vector<std::string> moved;
    for (std::string_view line : replace) {
      if (is_blank(line)) {
        moved.emplace_back();
      } else if (!shift || shift->missing) {
        moved.push_back(std::string(shift ? shift->left : std::string_view{}).append(line));
      } else if (line.starts_with(shift->left)) {
        moved.emplace_back(line.substr(shift->left.size()));
      } else {
        return std::nullopt;
      }
    }
    const CodeLines lines(moved.begin(), moved.end());
    return Found{target,
                 fit_lines(*targets_[target].lines, shown, place, place + wanted.size(), lines)};
  }

  std::span<const HunkTarget> targets_;
  std::vector<std::vector<std::unique_ptr<Searched>>> searched_;  // by target, then by indentation
  std::size_t budget_used_ = 0;
};

}  // namespace

std::vector<std::size_t> targets_named(std::string_view path, std::span<const HunkTarget> targets) {
  std::vector<std::size_t> found;
  const auto find = [&](std::string name) {
    std::ranges::replace(name, '\\', '/');
    while (name.starts_with("./")) name.erase(0, 2);
    while (name.starts_with("/")) name.erase(0, 1);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const std::string_view whole = targets[i].path;
      if (!name.empty() && whole.ends_with(name) &&
          (whole.size() == name.size() || whole[whole.size() - name.size() - 1] == '/')) {
        found.push_back(i);
      }
    }
  };
  find(std::string(path));
  const std::size_t blank = path.rfind(' ');
  if (found.empty() && blank != path.npos) find(std::string(path.substr(blank + 1)));
  return found;
}

Checked<std::vector<std::vector<LinesEdit>>> place_hunks(std::span<const AnswerHunk> hunks,
                                                         std::span<const HunkTarget> targets) {
  Placer placer(targets);
  std::vector<std::vector<LinesEdit>> edits(targets.size());
  for (std::size_t i = 0; i < hunks.size(); ++i) {
    Checked<std::optional<Found>> placed = placer.place(hunks[i], i + 1);
    if (auto* refusal = std::get_if<Refusal>(&placed)) return std::move(*refusal);
    if (auto& found = std::get<std::optional<Found>>(placed)) {
      edits[found->target].push_back(std::move(found->edit));
    }
  }
  for (std::vector<LinesEdit>& of_target : edits) {
    std::ranges::stable_sort(of_target, {},
                             [](const LinesEdit& edit) { return std::pair(edit.begin, edit.end); });
    const auto equal = [](const LinesEdit& one, const LinesEdit& other) {
      return std::tie(one.begin, one.end, one.lines) ==
             std::tie(other.begin, other.end, other.lines);
    };
    of_target.erase(std::unique(of_target.begin(), of_target.end(), equal), of_target.end());
    const auto overlap = std::ranges::adjacent_find(
        of_target, [](const LinesEdit& one, const LinesEdit& two) { return two.begin < one.end; });
    if (overlap != of_target.end()) {
      return Refusal{Refusal::Kind::ambiguous, "two blocks of the answer change the same lines"};
    }
  }
  return edits;
}

}  // namespace hearth::lsp
