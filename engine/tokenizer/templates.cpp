// ChatML and fill-in-the-middle as pieces, and pieces with boundaries as tokens.
#include <algorithm>
#include <utility>

#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {
namespace {

void special(Rendered& out, std::string content) {
  out.pieces.emplace_back(Special{std::move(content)});
}

void text(Rendered& out, std::string_view content) {
  if (!content.empty()) out.pieces.emplace_back(std::string(content));
}

void add_boundary(Rendered& out) {
  if (out.boundaries.empty() || out.boundaries.back() < out.pieces.size()) {
    out.boundaries.push_back(out.pieces.size());
  }
}

// Content in pieces that end at its boundaries, each marked.
void text_with_boundaries(Rendered& out, const ChatMessage& message) {
  const std::string_view content = message.content;
  std::size_t begin = 0;
  for (const std::size_t boundary : message.boundaries) {
    const std::size_t end = std::clamp(boundary, begin, content.size());
    text(out, content.substr(begin, end - begin));
    add_boundary(out);
    begin = end;
  }
  text(out, content.substr(begin));
}

void open_turn(Rendered& out, const std::string& role) {
  special(out, "<|im_start|>");
  text(out, role + "\n");
}

void close_turn(Rendered& out) {
  special(out, "<|im_end|>");
  text(out, "\n");
}

void generation_prompt(Rendered& out, bool thinking) {
  open_turn(out, "assistant");
  if (!thinking) return;
  special(out, "<think>");
  text(out, "\n");
}

// The prefix grows at its end while a person types: its last line changes, the lines above stay.
void fim_prefix(Rendered& out, std::string_view prefix) {
  const std::size_t newline = prefix.rfind('\n');
  const std::size_t last_line = newline == std::string_view::npos ? 0 : newline + 1;
  special(out, "<|fim_prefix|>");
  text(out, prefix.substr(0, last_line));
  add_boundary(out);
  text(out, prefix.substr(last_line));
  add_boundary(out);
}

void fim_suffix(Rendered& out, std::string_view suffix) {
  special(out, "<|fim_suffix|>");
  text(out, suffix);
  add_boundary(out);
}

}  // namespace

Rendered render_chat(const Profile& profile, std::span<const ChatMessage> messages) {
  Rendered out;
  for (const ChatMessage& message : messages) {
    if (message.generated.empty()) {
      open_turn(out, message.role);
      text_with_boundaries(out, message);
    } else {
      generation_prompt(out, profile.thinking);
      out.pieces.emplace_back(message.generated);
    }
    close_turn(out);
    add_boundary(out);
  }
  generation_prompt(out, profile.thinking);
  return out;
}

Rendered render_fim(const Profile& profile, std::string_view prefix, std::string_view suffix) {
  Rendered out;
  open_turn(out, "system");
  text(out, profile.system_fim);
  close_turn(out);
  add_boundary(out);
  open_turn(out, "user");
  if (profile.fim_order == FimOrder::suffix_first) {
    fim_suffix(out, suffix);
    fim_prefix(out, prefix);
  } else {
    fim_prefix(out, prefix);
    fim_suffix(out, suffix);
  }
  special(out, "<|fim_middle|>");
  close_turn(out);
  generation_prompt(out, false);
  return out;
}

std::vector<TokenId> end_of_thought(const Tokenizer& tokenizer, bool in_line) {
  Rendered out;
  if (in_line) text(out, "\n");
  special(out, std::string(end_of_thought_tag));
  text(out, "\n\n");
  return tokenizer.encode(out.pieces);
}

TokenPrompt tokenize(const Tokenizer& tokenizer, const Rendered& rendered) {
  const std::span<const Piece> pieces(rendered.pieces);
  TokenPrompt prompt{.tokens = tokenizer.encode(pieces), .boundaries = {}};
  for (const std::size_t pieces_before : rendered.boundaries) {
    const std::vector<TokenId> before = tokenizer.encode(pieces.first(pieces_before));
    const auto parting = std::ranges::mismatch(before, prompt.tokens).in1;
    const auto shared = static_cast<std::size_t>(parting - before.begin());
    if (prompt.boundaries.empty() || prompt.boundaries.back() < shared)
      prompt.boundaries.push_back(shared);
  }
  return prompt;
}

}  // namespace hearth::engine
