// What is shown beside the code that a task is about: candidates, each with what it is worth and
// what it costs, and the choice among them. task.cpp puts the chosen ones around the code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

struct Candidate {
  Provenance provenance = Provenance::file;
  std::string title;
  std::string why;
  double value = 0;
  std::size_t text = 0;               // of the plan
  std::optional<std::size_t> header;  // a text that is shown once above those that share it
};

// Candidates that stand together in the prompt: one segment.
struct Section {
  Provenance provenance = Provenance::file;
  std::int64_t share = 1;           // of the room: at most room / share tokens
  bool one_only = false;            // the first that fits: they say the same, shorter each time
  std::optional<std::size_t> open;  // texts around what is chosen
  std::optional<std::size_t> close;
  std::string why;
  std::vector<Candidate> candidates;  // in the order of the prompt
};

struct Surroundings {
  std::vector<Section> project;  // the same whatever file is asked about
  std::vector<Section> above;    // before the code, what changes least first
  std::vector<Section> below;    // after it
};

// What was chosen of one section, and why the others were not.
struct Choice {
  std::vector<std::string> left_out;  // by candidate; empty: it is shown
  std::int64_t tokens = 0;            // with what stands around them
  bool any() const;
};

// `name` is the language's in fences. Appends to `texts`.
Surroundings find_surroundings(const TaskInput& input, const SyntaxTree& tree, ByteRange code,
                               std::string_view name, std::size_t max_bytes, bool with_diagnostics,
                               std::vector<std::string>& texts);

// By value for each token, within `left` tokens in all, and for each section within its share of
// `room`.
std::vector<Choice> choose(const std::vector<const Section*>& sections, const Counts& counts,
                           std::int64_t room, std::int64_t left);

// The section's text; nothing is chosen: empty.
std::string text_of(const Section& section, const Choice& choice, const Counts& counts);

}  // namespace hearth::lsp
