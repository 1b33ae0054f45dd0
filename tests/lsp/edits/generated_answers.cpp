// Edits as a model, spoils as models do, types on as a person does.
#include "tests/lsp/edits/generated_answers.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "lsp/context/context.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/edits/code_lines.hpp"
#include "lsp/support/characters.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {

std::string composed(std::string_view bom, const Slots& slots, bool with_model, bool with_person) {
  std::string text(bom);
  std::string last_ending = "\n";
  std::size_t before_ending = text.size();  // where the last line ended
  for (const Slot& slot : slots) {
    const bool removed = (with_model && slot.model.removed) || (with_person && slot.person.removed);
    std::string line = slot.text;
    if (with_model && slot.model.text) line = *slot.model.text;
    if (with_person && slot.person.text) line = *slot.person.text;
    if (removed && slot.ending.empty()) text.resize(before_ending);
    if (!removed) {
      text += line;
      before_ending = text.size();
      text += slot.ending;
    }
    const std::string ending = slot.ending.empty() ? last_ending : slot.ending;
    for (const auto& [fate, counts] :
         {std::pair(&slot.model, with_model), std::pair(&slot.person, with_person)}) {
      for (const std::string& below : fate->below) {
        if (counts) text += slot.ending.empty() ? ending + below : below + ending;
      }
    }
    last_ending = ending;
  }
  return text;
}

namespace {

std::string with_tabs_for(std::string_view line, std::size_t step) {
  const std::string_view left = indentation(line);
  return std::string(left.size() / step, '\t') + std::string(left.size() % step, ' ') +
         std::string(line.substr(left.size()));
}

void spoil_document(World& world, std::string text, Random& random) {
  const std::string step = indentation_step(text);
  const std::size_t form = random.below(6);
  world.tabs = random.one_in(4) && step != "\t" && text.find('\t') == std::string::npos;
  if (form == 1) world.bom = "\xEF\xBB\xBF";
  if (form == 2 && text.ends_with('\n')) text.pop_back();
  const Text lines(std::move(text));
  for (std::size_t i = 0; i < lines.lines(); ++i) {
    Slot slot{std::string(lines.view({lines.line_start(i), lines.line_end(i)})),
              std::string(lines.view({lines.line_end(i), lines.line_start(i + 1)}))};
    if (i + 1 == lines.lines() && slot.text.empty()) break;
    if (world.tabs) slot.text = with_tabs_for(slot.text, step.size());
    if (!slot.ending.empty() && (form == 3 || (form == 4 && random.one_in(2))))
      slot.ending = "\r\n";
    world.slots.push_back(std::move(slot));
  }
}

// Asks as an action does, for a random selection. False where that shows nothing to work on.
bool show(World& world, const std::string& name, Random& random) {
  world.base =
      snapshot("file:///home/ada/src/" + name, composed(world.bom, world.slots, false, false));
  const Text& text = *world.base->text;
  const std::size_t line = random.below(text.lines());
  const std::size_t end = std::min(text.lines() - 1, line + random.below(12));
  ModelProfile profile;
  profile.context_tokens = 1'000'000;
  profile.surroundings = false;
  TaskInput input;
  input.snapshot = world.base;
  input.selection = {text.line_range(line).begin, text.line_range(end).end};
  input.syntax = std::make_shared<Syntax>(timeout);
  const ContextPlan plan = plan_task(input, profile, {"test", "Go."});
  if (!plan.refused().empty()) return false;
  const Prompt prompt = plan.fit({});
  std::string code;
  for (const Segment& segment : prompt.messages.at(1).segments) {
    if (segment.provenance == Provenance::selection) code = segment.text;
  }
  const CodeLines lines = code_lines(code);
  const std::size_t open = static_cast<std::size_t>(
      std::ranges::find_if(lines, [](auto each) { return each.starts_with("```"); }) -
      lines.begin());
  world.fence =
      lines[open].substr(0, std::min(lines[open].find_first_not_of('`'), lines[open].size()));
  for (std::size_t i = open + 1; i < lines.size() && lines[i] != world.fence; ++i) {
    world.shown.emplace_back(lines[i]);
  }
  world.target = target_of(*world.base, plan.range());
  world.first = text.line_of(plan.range().begin);
  if (const Language* language = find_language("", world.base->uri)) {
    world.comment = language->comment_begin;
  }
  return world.shown.size() >= 3;
}

// Changes up to three lines of what is shown, with unchanged ones between them.
bool edit_as_model(World& world, Random& random) {
  const auto may_change = [&](std::size_t line) {
    if (is_blank(world.shown[line]) || world.outer(line) != world.outer(0)) return false;
    return std::ranges::all_of(world.changed, [&](std::size_t other) {
      return std::max(line, other) - std::min(line, other) >= 2;
    });
  };
  const std::size_t wanted = 1 + random.below(3);
  for (int attempt = 0; attempt < 20 && world.changed.size() < wanted; ++attempt) {
    const std::size_t line = random.below(world.shown.size());
    if (!may_change(line)) continue;
    Slot& slot = world.slots[world.first + line];
    const std::string& shown = world.shown[line];
    const bool edge = line == 0 || line + 1 == world.shown.size();
    switch (random.below(3)) {
      case 0:
        world.suffixes[line] = random.word(" x");
        slot.model.text = world.in_document(line, shown + world.suffixes[line]);
        break;
      case 1: {
        if (edge) continue;
        const std::size_t count = 1 + random.below(3);
        for (std::size_t i = 0; i < count; ++i) {
          slot.model.below.push_back(std::string(indentation(slot.text)) + random.word("added") +
                                     "(call);");
        }
        break;
      }
      default:
        if (edge || shown == world.shown[line - 1] || shown == world.shown[line + 1]) continue;
        slot.model.removed = true;
    }
    world.changed.push_back(line);
  }
  std::ranges::sort(world.changed);
  return !world.changed.empty();
}

// A person's changes, at least three lines from all of the model's; or right at one of them.
void move_on(World& world, Move move, Random& random) {
  const auto distance = [&](std::size_t slot) {
    std::size_t least = 1000;
    for (const std::size_t line : world.changed) {
      const std::size_t other = world.first + line;
      least = std::min(least, std::max(slot, other) - std::min(slot, other));
    }
    return least;
  };
  if (move == Move::overlapping) {
    Slot& slot = world.slots[world.first + world.changed[random.below(world.changed.size())]];
    slot.person.text = slot.text + random.word(" person");
    return;
  }
  for (std::size_t i = 0; move == Move::apart && i < 6; ++i) {
    const std::size_t at = random.below(world.slots.size());
    Slot& slot = world.slots[at];
    if (distance(at) < 4 || slot.person != Slot::Fate{}) continue;
    switch (random.below(3)) {
      case 0:
        slot.person.text = slot.text + random.word(" person");
        break;
      case 1:
        for (std::size_t n = 1 + random.below(4); n > 0; --n) {
          slot.person.below.push_back(random.word("typed"));
        }
        break;
      default:
        slot.person.removed = !is_blank(slot.text) && at + 1 < world.slots.size();
    }
  }
}

// The new code as shown: lines [begin, end) of it.
std::vector<std::string> rewritten(const World& world, std::size_t begin, std::size_t end,
                                   bool as_in_document) {
  std::vector<std::string> lines;
  const auto add = [&](std::size_t line, std::string_view text) {
    if (!as_in_document && text.starts_with(world.outer(line))) {
      text.remove_prefix(world.outer(line).size());
    }
    lines.emplace_back(text);
  };
  for (std::size_t i = begin; i < end; ++i) {
    const Slot& slot = world.slots[world.first + i];
    if (!slot.model.removed) {
      // What the line has outside of the range is not shown.
      std::string text = as_in_document ? world.outer(i) + world.shown[i] : world.shown[i];
      if (is_blank(text)) text.clear();
      const auto suffix = world.suffixes.find(i);
      if (suffix != world.suffixes.end()) text += suffix->second;
      lines.push_back(std::move(text));
    }
    for (const std::string& below : slot.model.below) add(i, below);
  }
  return lines;
}

std::string with_blanks_for_tabs(std::string_view line) {
  std::string result;
  for (const char c : indentation(line)) result += c == '\t' ? "    " : std::string(1, c);
  return result.append(line.substr(indentation(line).size()));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string whole_answer(const World& world, Fault fault, Random& random) {
  std::vector<std::string> lines =
      rewritten(world, 0, world.shown.size(),
                fault == Fault::as_in_the_document || fault == Fault::first_line_bare);
  if (fault == Fault::first_line_bare) {
    lines.front().erase(0, indentation(lines.front()).size());
  }
  if (fault == Fault::placeholder) {
    const std::size_t at = 1 + random.below(lines.size());
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(std::min(at, lines.size())),
                 world.comment.empty() ? "[... 7 lines left out ...]"
                                       : world.comment + " ... existing code ...");
  }
  std::string code = joined(lines);
  const std::string old = joined(world.shown);
  // A model knows the rule, and heeds it.
  const std::string fence = fault == Fault::fence_inside ? "```" : world.fence;
  const std::string open = fence + (random.one_in(4) ? "" : "code") + "\n";
  switch (fault) {
    case Fault::no_closing_fence:
      return open + code;
    case Fault::no_opening_fence:
      return code + fence + "\n";
    case Fault::no_fence:
      return (random.one_in(2) ? "Here is the new code:\n\n" : "") + code;
    case Fault::prose:
      return "Sure, here is the code.\n\n" + open + code + fence + "\n\nI hope that it helps.\n";
    case Fault::example:
      return open + code + fence + "\n\nUse it so:\n\n" + open + "run()\n" + fence + "\n";
    case Fault::quote:
      return "Before:\n" + open + old + fence + "\nAfter:\n" + open + code + fence + "\n";
    case Fault::thought:
      return "<think>\nPerhaps:\n" + open + "wrong()\n" + fence + "\n</think>\n\n" + open + code +
             fence;
    default:
      return open + code + fence + "\n";
  }
}

// How often lines [begin, end) of what is shown are in it.
std::size_t times(const World& world, std::size_t begin, std::size_t end) {
  std::size_t found = 0;
  for (std::size_t at = 0; at + (end - begin) <= world.shown.size(); ++at) {
    bool same = true;
    for (std::size_t i = begin; same && i < end; ++i) {
      same = trimmed(world.shown[at + i - begin]) == trimmed(world.shown[i]);
    }
    found += same ? 1 : 0;
  }
  return found;
}

std::string hunk(const std::vector<std::string>& search, const std::vector<std::string>& replace) {
  return "<<<<<<< SEARCH\n" + joined(search) + "=======\n" + joined(replace) + ">>>>>>> REPLACE\n";
}

// Empty: the code at hand does not have what this fault needs.
std::string hunks_answer(const World& world, Fault fault, Random& random) {
  const std::size_t end = world.shown.size();
  // A hunk for each change, with as much around it as tells its place; one for all if they meet.
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (const std::size_t line : world.changed) {
    std::size_t from = line;
    std::size_t to = line + 1;
    while (times(world, from, to) > 1 && (from > 0 || to < end)) {
      if (from > 0) --from;
      if (times(world, from, to) > 1 && to < end) ++to;
    }
    if (!places.empty() && from < places.back().second) {
      places.back().second = std::max(places.back().second, to);
    } else {
      places.emplace_back(from, to);
    }
  }
  const bool raw = fault == Fault::as_in_the_document;
  std::vector<std::string> hunks;
  for (const auto& [from, to] : places) {
    std::vector<std::string> search;
    for (std::size_t i = from; i < to; ++i) {
      search.push_back(raw && !world.shown[i].empty() ? world.outer(i) + world.shown[i]
                                                      : world.shown[i]);
    }
    std::vector<std::string> replace = rewritten(world, from, to, raw);
    if (fault == Fault::not_indented) {
      CodeLines both(search.begin(), search.end());
      both.insert(both.end(), replace.begin(), replace.end());
      const std::string margin(common_indentation(both));
      for (auto* lines : {&search, &replace}) {
        for (std::string& line : *lines) line.erase(0, std::min(margin.size(), line.size()));
      }
    }
    if (fault == Fault::blanks_at_ends) {
      for (std::string& line : search) line += "  ";
    }
    if (fault == Fault::placeholder) replace.push_back("    // ... rest of the code ...");
    hunks.push_back(hunk(search, replace));
  }
  if (fault == Fault::never) hunks.push_back(hunk({"nowhere to be found"}, {"x"}));
  if (fault == Fault::overlapping) {
    const auto [from, to] = places.front();
    std::vector<std::string> search(world.shown.begin() + static_cast<std::ptrdiff_t>(from),
                                    world.shown.begin() + static_cast<std::ptrdiff_t>(to));
    hunks.push_back(hunk(search, {"something else"}));
  }
  if (fault == Fault::twice) {
    std::size_t line = 0;
    while (line < end && (is_blank(world.shown[line]) ||
                          std::ranges::count(world.shown, world.shown[line]) < 2)) {
      ++line;
    }
    if (line == end) return {};
    hunks.push_back(hunk({world.shown[line]}, {"x"}));
  }
  std::string text;
  for (const std::string& each : hunks) {
    if (fault == Fault::prose) text += "Then this changes:\n\n";
    text += fault == Fault::prose || random.one_in(3) ? "```code\n" + each + "```\n" : each + "\n";
  }
  if (fault == Fault::thought) {
    text = "I might try\n" + hunk({world.shown.front()}, {"wrong"}) + "</think>\n" + text;
  }
  if (fault == Fault::no_end) text.resize(text.rfind(">>>>>>>"));
  return text;
}

}  // namespace

std::optional<Generated> generate(const std::string& name, AnswerForm form, Fault fault, Move move,
                                  Random& random) {
  Generated made;
  World& world = made.world;
  spoil_document(world, fixture(name)->text->str(), random);
  if (fault == Fault::blanks_for_tabs && !world.tabs) return std::nullopt;
  if (!show(world, name, random) || !edit_as_model(world, random)) return std::nullopt;
  if (fault == Fault::fence_inside) {
    Slot& slot = world.slots[world.first + world.changed.front()];
    if (slot.model.below.empty()) return std::nullopt;
    const std::string left(indentation(slot.text));
    slot.model.below = {left + "```", left + random.word("example"), left + "```"};
  }
  if (fault == Fault::first_line_bare && is_blank(world.outer(0))) {
    if (world.outer(0).empty()) return std::nullopt;
  }
  move_on(world, move, random);
  made.answer = form == AnswerForm::hunks ? hunks_answer(world, fault, random)
                                          : whole_answer(world, fault, random);
  if (made.answer.empty()) return std::nullopt;
  if (fault == Fault::blanks_for_tabs) {
    std::string text;
    for (const std::string_view line : code_lines(made.answer)) {
      text += with_blanks_for_tabs(line) + "\n";
    }
    made.answer = text;
  }
  if (fault == Fault::crlf) {
    std::string text;
    for (const std::string_view line : code_lines(made.answer)) text.append(line).append("\r\n");
    made.answer = text;
  }
  if (fault == Fault::cut) made.answer.resize(random.below(made.answer.size()));
  made.expected = composed(world.bom, world.slots, true, true);
  return made;
}

}  // namespace hearth::lsp::test
