// A prompt's text, whatever it came from.
#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

std::string text_of(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

}  // namespace hearth::lsp
