// What the editor's tools say about a document, as its client passes it on. The server asks no tool
// itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lsp/protocol/json.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

struct Diagnostic {
  enum class Severity : std::uint8_t { error, warning, information, hint };

  ByteRange range;
  Severity severity = Severity::error;
  std::string message;
  std::string source;  // the tool's name; may be empty
};
std::string_view name(Diagnostic::Severity severity);

// An LSP Diagnostic[], the positions in `text`. `diagnostics` may be null; what is no diagnostic is
// left out.
std::vector<Diagnostic> read_diagnostics(const Json* diagnostics, const Text& text,
                                         Encoding encoding);

// Those that touch `range`, one a line, for a prompt: "line 3: error: undefined name 'x'
// (pyright)". "none" where there are none; of very many the first ones.
std::string diagnostic_lines(const std::vector<Diagnostic>& diagnostics, const Text& text,
                             ByteRange range);

// Their messages alone, one a line; empty where there are none.
std::string diagnostic_messages(const std::vector<Diagnostic>& diagnostics, ByteRange range);

}  // namespace hearth::lsp
