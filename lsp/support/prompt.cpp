// A prompt's text, whatever it came from.
#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

std::string_view name(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  return "";
}

std::string_view name(Provenance provenance) {
  switch (provenance) {
    case Provenance::system:
      return "system";
    case Provenance::project:
      return "project";
    case Provenance::outline:
      return "outline";
    case Provenance::imports:
      return "imports";
    case Provenance::signatures:
      return "signatures";
    case Provenance::file:
      return "file";
    case Provenance::selection:
      return "selection";
    case Provenance::attached:
      return "attached";
    case Provenance::diagnostics:
      return "diagnostics";
    case Provenance::edits:
      return "edits";
    case Provenance::instruction:
      return "instruction";
    case Provenance::answer:
      return "answer";
  }
  return "";
}

std::string text_of(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

std::size_t bytes_of(const Prompt& prompt) {
  std::size_t bytes = 0;
  const auto add = [&](const std::vector<Segment>& segments) {
    for (const Segment& segment : segments) bytes += segment.text.size();
  };
  for (const Message& message : prompt.messages) add(message.segments);
  add(prompt.prefix);
  add(prompt.suffix);
  return bytes;
}

}  // namespace hearth::lsp
