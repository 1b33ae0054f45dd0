// Laying out a prompt.
#include "lsp/jobs/prompt_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace hearth::lsp {
namespace {

// What a piece is, and why it is there where that says more.
std::string reason(const PromptPiece& piece) {
  if (!piece.provenance) return "the model's template";
  const auto what = [&]() -> std::string_view {
    switch (*piece.provenance) {
      case Provenance::system:
        return "system line of the model's profile";
      case Provenance::project:
        return "for the whole project";
      case Provenance::outline:
        return "outline of the file";
      case Provenance::imports:
        return "imports of the file";
      case Provenance::signatures:
        return "of other files";
      case Provenance::file:
        return "text around the place";
      case Provenance::selection:
        return "the code that is asked about";
      case Provenance::attached:
        return "attached by the person";
      case Provenance::diagnostics:
        return "what the editor's tools say";
      case Provenance::edits:
        return "changed a moment ago";
      case Provenance::instruction:
        return "what is asked";
      case Provenance::answer:
        return "the model's answer before";
    }
    return "";
  }();
  const bool says_more = !piece.why.empty() && piece.why != what;
  return std::string(what) + (says_more ? " (" + piece.why + ")" : "");
}

std::string cached(std::int64_t known, std::int64_t tokens) {
  if (known <= 0) return {};
  return known >= tokens ? ", known" : fmt::format(", the first {} known", known);
}

}  // namespace

std::string prompt_text(const Job& job, std::span<const PromptPiece> pieces) {
  std::int64_t total = 0;
  for (const PromptPiece& piece : pieces) total += piece.tokens;
  std::int64_t known = std::min(job.progress.cached_tokens, total);
  std::string text =
      fmt::format("Prompt of job {}, {}: {} tokens", job.id, job.request.title, total);
  if (known > 0) text += fmt::format(", of which {} were known and not read again", known);
  text += ".\n";
  for (const PromptPiece& piece : pieces) {
    text += fmt::format("\n── {} · {} {}{} ──\n", reason(piece), piece.tokens,
                        piece.tokens == 1 ? "token" : "tokens", cached(known, piece.tokens));
    text += piece.text;
    if (!piece.text.ends_with('\n')) text += '\n';
    known -= piece.tokens;
  }
  if (!job.request.left_out.empty()) text += "\n── left out ──\n";
  for (const ContextPiece& piece : job.request.left_out) {
    text += fmt::format("{}, {} tokens: {} ({})\n", piece.title, piece.tokens, piece.left_out,
                        piece.why);
  }
  return text;
}

}  // namespace hearth::lsp
