// Reading diagnostics, and writing them for a prompt.
#include "lsp/document/diagnostics.hpp"

#include <array>
#include <utility>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_lines = 20;
constexpr std::size_t max_message_bytes = 300;

constexpr std::array<std::string_view, 4> severities{"error", "warning", "information", "hint"};

Diagnostic::Severity severity_member(const Json& diagnostic) {
  const Json* value = find(diagnostic, "severity");
  const bool known = value != nullptr && value->is_number_integer() && *value >= 1 && *value <= 4;
  return known ? static_cast<Diagnostic::Severity>(value->get<int>() - 1)
               : Diagnostic::Severity::error;
}

// In one line, and not longer than a prompt can bear.
std::string one_line(std::string_view message) {
  std::string line;
  for (const char c : trimmed(message)) {
    const bool blank = blanks.find(c) != blanks.npos;
    if (!blank || (!line.empty() && line.back() != ' ')) line += blank ? ' ' : c;
  }
  if (line.size() > max_message_bytes) {
    std::size_t end = max_message_bytes;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;
    line.resize(end);
    line += " ...";
  }
  return line;
}

// Those that touch `range`, the first of very many.
std::vector<const Diagnostic*> first_in(const std::vector<Diagnostic>& diagnostics,
                                        ByteRange range) {
  std::vector<const Diagnostic*> found;
  for (const Diagnostic& each : diagnostics) {
    if (each.range.end < range.begin || range.end < each.range.begin) continue;
    if (found.size() == max_lines) break;
    found.push_back(&each);
  }
  return found;
}

}  // namespace

std::string_view name(Diagnostic::Severity severity) {
  return enum_name(severities, severity);
}

std::vector<Diagnostic> read_diagnostics(const Json* diagnostics, const Text& text,
                                         Encoding encoding) {
  std::vector<Diagnostic> all;
  if (diagnostics == nullptr || !diagnostics->is_array()) return all;
  for (const Json& each : *diagnostics) {
    try {
      const Json* source = find(each, "source");
      all.push_back({text.bytes(range_member(each, "range"), encoding), severity_member(each),
                     valid_utf8(string_member(each, "message")),
                     source != nullptr && source->is_string()
                         ? valid_utf8(source->get<std::string>())
                         : std::string()});
    } catch (const InvalidParams&) {
      // A tool's fault is no reason to refuse what a person asks for.
    }
  }
  return all;
}

std::string diagnostic_messages(const std::vector<Diagnostic>& diagnostics, ByteRange range) {
  std::string lines;
  for (const Diagnostic* each : first_in(diagnostics, range)) {
    lines += (lines.empty() ? "" : "\n") + one_line(each->message);
  }
  return lines;
}

std::string diagnostic_lines(const std::vector<Diagnostic>& diagnostics, const Text& text,
                             ByteRange range) {
  std::string lines;
  for (const Diagnostic* touching : first_in(diagnostics, range)) {
    const Diagnostic& each = *touching;
    lines += "line " + std::to_string(text.line_of(each.range.begin) + 1) + ": ";
    lines.append(name(each.severity)).append(": ").append(one_line(each.message));
    if (!each.source.empty()) lines += " (" + one_line(each.source) + ")";
    lines += '\n';
  }
  if (lines.empty()) return "none";
  lines.pop_back();
  return lines;
}

}  // namespace hearth::lsp
