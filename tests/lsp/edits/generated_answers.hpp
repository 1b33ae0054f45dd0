// What a program makes of real files for tests of edits: a document, an answer of a model in either
// form, spoilt in one of the ways of models, and what a person changes meanwhile.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/indentation.hpp"
#include "lsp/edits/assemble.hpp"

namespace hearth::lsp::test {

// What is wrong with an answer, or harmlessly different from what was asked for.
enum class Fault : std::uint8_t {
  none,
  thought,
  prose,
  crlf,
  as_in_the_document,  // not dedented
  blanks_for_tabs,
  example,  // a second block
  quote,    // the old code in a block of its own
  first_line_bare,
  no_closing_fence,
  no_opening_fence,
  no_fence,
  fence_inside,
  placeholder,
  cut,
  blanks_at_ends,  // of hunks' lines
  not_indented,    // hunks
  twice,           // SEARCH lines that are there twice
  never,
  overlapping,
  no_end,
  count
};
inline constexpr std::array<const char*, static_cast<std::size_t>(Fault::count)> fault_names{
    "none",
    "thought",
    "prose",
    "CRLF",
    "indented as in the document",
    "blanks for tabs",
    "a second block",
    "old code quoted",
    "first line not indented",
    "no closing fence",
    "no opening fence",
    "no fence",
    "fence inside",
    "placeholder",
    "cut",
    "blanks at lines' ends",
    "hunks not indented",
    "SEARCH lines twice",
    "SEARCH lines never",
    "overlapping hunks",
    "a hunk without end"};
inline constexpr std::array whole_faults{Fault::none,
                                         Fault::thought,
                                         Fault::prose,
                                         Fault::crlf,
                                         Fault::as_in_the_document,
                                         Fault::blanks_for_tabs,
                                         Fault::example,
                                         Fault::quote,
                                         Fault::first_line_bare,
                                         Fault::no_closing_fence,
                                         Fault::no_opening_fence,
                                         Fault::no_fence,
                                         Fault::fence_inside,
                                         Fault::placeholder,
                                         Fault::cut};
inline constexpr std::array hunk_faults{Fault::none,
                                        Fault::thought,
                                        Fault::prose,
                                        Fault::crlf,
                                        Fault::as_in_the_document,
                                        Fault::blanks_for_tabs,
                                        Fault::placeholder,
                                        Fault::cut,
                                        Fault::blanks_at_ends,
                                        Fault::not_indented,
                                        Fault::twice,
                                        Fault::never,
                                        Fault::overlapping,
                                        Fault::no_end};

// The answer says all that is needed, if in another form: it must not be refused.
inline bool is_harmless(Fault fault) {
  return fault <= Fault::blanks_for_tabs || fault == Fault::blanks_at_ends;
}
inline bool must_be_refused(Fault fault) {
  return fault == Fault::placeholder || fault == Fault::cut || fault >= Fault::twice;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(engine_() % end); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string word(std::string_view begin) {
    return std::string(begin) + std::to_string(100 + below(900)) + std::to_string(++count_);
  }

 private:
  std::mt19937_64 engine_;
  std::size_t count_ = 0;
};

// A line of a document, and what becomes of it.
struct Slot {
  std::string text;
  std::string ending;
  struct Fate {
    std::optional<std::string> text = {};
    bool removed = false;
    std::vector<std::string> below = {};
    bool operator==(const Fate&) const = default;
  };
  Fate model = {};
  Fate person = {};
};
using Slots = std::vector<Slot>;

// The document with what the one or both have made of it.
std::string composed(std::string_view bom, const Slots& slots, bool with_model, bool with_person);

// One document, what the model is shown of it, and what both sides make of it.
struct World {
  std::string bom;
  Slots slots;
  SnapshotPtr base;
  Target target;
  std::size_t first = 0;           // slot of the first line that is shown
  std::vector<std::string> shown;  // as in the prompt
  std::string fence;               // around it there
  std::string comment = "#";
  std::vector<std::size_t> changed;             // lines of `shown`
  std::map<std::size_t, std::string> suffixes;  // what the model appends to lines of `shown`
  bool tabs = false;

  std::string outer(std::size_t line) const {
    const std::string& text = slots[first + line].text;
    return std::string(indentation(text).substr(
        0, indentation(text).size() -
               std::min(indentation(text).size(), indentation(shown[line]).size())));
  }
  // The line in the document, were `text` what is shown of it.
  std::string in_document(std::size_t line, const std::string& text) const {
    const std::string& old = slots[first + line].text;
    const std::size_t at = shown[line].empty() ? std::string::npos : old.find(shown[line]);
    if (at == std::string::npos) return text;
    return old.substr(0, at) + text + old.substr(at + shown[line].size());
  }
};

enum class Move : std::uint8_t { none, apart, overlapping };

// A document, an answer, and what is to come of it.
struct Generated {
  World world;
  std::string answer;
  std::string expected;
};
// Nothing where the file does not have what the fault needs, or a random choice leads nowhere.
std::optional<Generated> generate(const std::string& name, AnswerForm form, Fault fault, Move move,
                                  Random& random);

}  // namespace hearth::lsp::test
