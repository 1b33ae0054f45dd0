// Why an answer does not become edits.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace hearth::lsp {

struct Refusal {
  enum class Kind : std::uint8_t {
    unfinished,   // it was cut: by its limit, by the context's end, or the model went away
    no_code,      // nothing in the form that was asked for, or nothing that is surely the code
    placeholder,  // stands for code that it leaves out
    unchanged,    // nothing to do: it equals the code, or the document has it already
    no_match,     // a hunk's SEARCH lines are not in the code
    ambiguous,    // a hunk's SEARCH lines are there twice, or hunks overlap
    conflict,     // a person has changed the same lines meanwhile
    moved,        // the place is not found any more, or found twice
    too_large,    // than an answer can sensibly be
  };
  Kind kind = Kind::no_code;
  std::string reason;  // for people and fit for the model: a sentence's end, "the answer is empty"
  bool operator==(const Refusal&) const = default;

  // Whether asking the model once more, with the reason, may help.
  bool repairable() const {
    return kind == Kind::no_code || kind == Kind::placeholder || kind == Kind::no_match ||
           kind == Kind::ambiguous;
  }
};

template <class T>
using Checked = std::variant<T, Refusal>;

}  // namespace hearth::lsp
