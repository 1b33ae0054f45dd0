// Parses a document with edits made, and says what they broke.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "lsp/edits/assemble.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_lines_told = 10;
constexpr std::size_t max_line_bytes = 200;

SyntaxTreePtr parsed_apart(const Syntax& syntax, const Snapshot& snapshot, std::string text) {
  return syntax.tree(std::make_shared<const Snapshot>(
      Snapshot{snapshot.uri, snapshot.language_id, snapshot.version,
               std::make_shared<const Text>(std::move(text))}));
}

// Where `place` of the edited text was before; nothing for what an edit wrote, or what adjoins it.
std::optional<Byte> place_before(Byte place, std::span<const TextEdit> edits) {
  std::size_t at = place.value;
  for (const TextEdit& edit : edits) {
    const std::size_t begin = edit.range.begin.value;  // in the text with the edits so far
    if (at < begin) break;
    if (at <= begin + edit.text.size()) return std::nullopt;
    at = at - edit.text.size() + (edit.range.end.value - begin);
  }
  return Byte{at};
}

std::string complaint_about(const Text& text, std::span<const std::size_t> lines) {
  std::string complaint =
      lines.size() == 1
          ? "With this change the code has a syntax error that it did not have before, at this "
            "line:\n"
          : "With this change the code has syntax errors that it did not have before, at these "
            "lines:\n";
  for (const std::size_t line : lines) {
    std::string_view shown = trimmed(text.view(text.line_range(line)));
    std::size_t end = std::min(shown.size(), max_line_bytes);
    while (end < shown.size() && end > 0 &&
           (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80U) {
      --end;
    }
    complaint +=
        fmt::format("{}: {}\n", line + 1,
                    shown.empty() ? std::string_view("(an empty line)") : shown.substr(0, end));
  }
  return complaint;
}

}  // namespace

SyntaxCheck check(const Syntax& syntax, const SnapshotPtr& snapshot,
                  std::span<const TextEdit> edits) {
  SyntaxCheck result;
  const SyntaxTreePtr old = syntax.tree(snapshot);
  if (!old->parsed()) return result;
  const SyntaxTreePtr now = parsed_apart(syntax, *snapshot, edited(snapshot->text->str(), edits));
  if (!now->parsed()) return result;
  result.parsed = true;
  std::vector<Byte> old_errors = old->error_places();
  const std::vector<Byte> errors = now->error_places();
  if (errors.size() > old_errors.size()) {
    // Its tree may come from many small edits, after which errors are grouped in another way.
    const SyntaxTreePtr whole = parsed_apart(syntax, *snapshot, snapshot->text->str());
    if (whole->parsed()) old_errors = whole->error_places();
  }
  result.before = old_errors.size();
  result.after = errors.size();
  if (result.after <= result.before) return result;

  const Text& text = *now->snapshot().text;
  const auto add = [&](Byte place) {
    const std::size_t line = text.line_of(place);
    if (result.lines.size() < max_lines_told &&
        (result.lines.empty() || result.lines.back() != line)) {
      result.lines.push_back(line);
    }
  };
  for (const Byte place : errors) {
    const auto before = place_before(place, edits);
    if (!before || !std::ranges::binary_search(old_errors, *before)) add(place);
  }
  if (result.lines.empty()) std::ranges::for_each(errors, add);
  result.complaint = complaint_about(text, result.lines);
  return result;
}

}  // namespace hearth::lsp
