// What each chat template writes, and fill-in-the-middle, as pieces; and pieces with boundaries as
// tokens.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/tokenizer/profile.hpp"
#include "engine/tokenizer/tools.hpp"

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

// A part of a message's content, by byte offsets.
struct ContentRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// In pieces that end at the message's boundaries, each marked.
void text_with_boundaries(Rendered& out, const ChatMessage& message, ContentRange shown) {
  const std::string_view content = message.content;
  std::size_t begin = shown.begin;
  for (const std::size_t boundary : message.boundaries) {
    const std::size_t end = std::clamp(boundary, begin, shown.end);
    text(out, content.substr(begin, end - begin));
    add_boundary(out);
    begin = end;
  }
  text(out, content.substr(begin, shown.end - begin));
}

void open_turn(Rendered& out, const std::string& role) {
  special(out, "<|im_start|>");
  text(out, role + "\n");
}

void close_turn(Rendered& out) {
  special(out, "<|im_end|>");
  text(out, "\n");
}

// What an answer begins behind: nothing, a thought that is open, or one that is closed at once.
void open_answer(Rendered& out, const Profile& profile, bool thinks) {
  if (!thinks && !has_thought_switch(profile.chat_template)) return;
  special(out, "<think>");
  text(out, thinks ? "\n" : "\n\n");
  if (thinks) return;
  special(out, std::string(end_of_thought_tag));
  text(out, "\n\n");
}

std::size_t last_line_of(std::string_view prefix) {
  const std::size_t newline = prefix.rfind('\n');
  return newline == std::string_view::npos ? 0 : newline + 1;
}

// The prefix grows at its end while a person types: its last line changes, the lines above stay.
void prefix_text(Rendered& out, std::string_view prefix) {
  const std::size_t last_line = last_line_of(prefix);
  text(out, prefix.substr(0, last_line));
  add_boundary(out);
  text(out, prefix.substr(last_line));
  add_boundary(out);
}

void fim_prefix(Rendered& out, std::string_view prefix) {
  special(out, "<|fim_prefix|>");
  prefix_text(out, prefix);
}

void fim_suffix(Rendered& out, std::string_view suffix) {
  special(out, "<|fim_suffix|>");
  text(out, suffix);
  add_boundary(out);
}

// The end of the prefix's last line, which begins the answer: of an enormous one as much as says
// where to go on.
std::string_view begun_line(std::string_view prefix) {
  constexpr std::size_t max_bytes = 200;
  std::string_view line = prefix.substr(last_line_of(prefix));
  if (line.size() <= max_bytes) return line;
  line.remove_prefix(line.size() - max_bytes);
  while (!line.empty() && (static_cast<unsigned char>(line.front()) & 0xC0) == 0x80)
    line.remove_prefix(1);
  return line;
}

// In words, for a checkpoint that was not trained to fill in the middle. A fence is of three
// backticks whatever the code has: where that has some itself, a completion may end early.
void fim_as_chat(Rendered& out, const Profile& profile, std::string_view prefix,
                 std::string_view suffix) {
  open_turn(out, "user");
  text(out,
       "Complete the code between two parts of a file. Answer with the missing code alone: nothing "
       "of what is there already, no explanation.\n\nBefore it:\n```\n");
  prefix_text(out, prefix);
  text(out, "\n```\n\nAfter it:\n```\n");
  text(out, suffix);
  text(out, "\n```");
  add_boundary(out);
  close_turn(out);
  open_turn(out, "assistant");
  open_answer(out, profile, false);
  text(out, "```\n");
  text(out, begun_line(prefix));
}

// --- Chats ---

// Qwen3-Coder's, where there are tools and no system message.
constexpr std::string_view system_line_beside_tools =
    "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks.";

constexpr std::string_view effort_low =
    "Reasoning effort is set to low. Keep your thinking brief and focused, moving directly to the "
    "conclusion without unnecessary elaboration.";
constexpr std::string_view effort_xhigh =
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate key "
    "assumptions, consider plausible alternatives, and prioritize correctness, consistency, and "
    "clarity in the final answer.";

// Also without thinking: it is before everything else, and prompts are to share what they can.
std::string_view effort_sentence(const Profile& profile) {
  if (profile.chat_template != ChatTemplate::qwen3_8) return {};
  switch (profile.thoughts.effort) {
    case Effort::low:
      return effort_low;
    case Effort::medium:
      break;
    case Effort::xhigh:
      return effort_xhigh;
  }
  return {};
}

// Without the white space at both ends, as templates trim: that of Unicode, and the separators
// among the control characters.
ContentRange trimmed(std::string_view text, ContentRange range) {
  constexpr std::array<std::string_view, 29> spaces{
      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
      "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
      "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
      "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  const auto rest = [&] { return text.substr(range.begin, range.end - range.begin); };
  const auto at = [&](bool at_end) {
    for (const std::string_view space : spaces) {
      if (at_end ? rest().ends_with(space) : rest().starts_with(space)) return space.size();
    }
    return std::size_t{0};
  };
  while (const std::size_t bytes = at(false)) range.begin += bytes;
  while (const std::size_t bytes = at(true)) range.end -= bytes;
  return range;
}

std::string_view trimmed(std::string_view text) {
  const ContentRange range = trimmed(text, {0, text.size()});
  return text.substr(range.begin, range.end - range.begin);
}

// How many messages there are up to the last question: a user's that is not a tool's result, nor
// looks like one. 0 without a question.
std::size_t messages_to_last_question(std::span<const ChatMessage> messages) {
  for (std::size_t i = messages.size(); i > 0; --i) {
    const ChatMessage& message = messages[i - 1];
    if (message.role != "user") continue;
    const std::string_view content = trimmed(message.content);
    if (!content.starts_with("<tool_response>") || !content.ends_with("</tool_response>")) return i;
  }
  return 0;
}

// The tokens behind a thought and the line breaks that end it.
std::vector<TokenId> behind_thought(const Profile& profile, std::span<const TokenId> generated) {
  auto at = std::ranges::find(generated, profile.end_of_thought_id);
  if (at != generated.end()) ++at;
  while (at != generated.end() && std::ranges::binary_search(profile.line_breaks, *at)) ++at;
  return {at, generated.end()};
}

// Writes one conversation.
class ChatWriter {
 public:
  explicit ChatWriter(const Profile& profile) : profile_(profile) {}

  Rendered write(std::span<const ChatMessage> messages, const ChatOptions& options) {
    if (!options.tools.empty() && !has_switch() && !is_coder()) {
      throw Error("how the chat template of " + profile_.name +
                  " declares tools is not known to hearth");
    }
    std::size_t next = 0;
    if (has_switch())
      next = system_turn(messages, options.tools);
    else if (!options.tools.empty())
      next = system_turn_of_coder(messages, options.tools);
    const std::size_t asked = messages_to_last_question(messages);
    for (; next < messages.size(); ++next) {
      const ChatMessage& message = messages[next];
      if (message.role == "tool") {
        const bool first = next == 0 || messages[next - 1].role != "tool";
        const bool last = next + 1 == messages.size() || messages[next + 1].role != "tool";
        tool_result(message, first, last);
      } else if (message.role == "assistant") {
        assistant_turn(message, profile_.thoughts.keep || next >= asked);
      } else {
        open_turn(out_, message.role);
        text_with_boundaries(out_, message, content_of(message));
        end_turn();
      }
    }
    open_turn(out_, "assistant");
    // From here on the next prompt is another one, where the thought is not shown again.
    if (!profile_.thoughts.keep) add_boundary(out_);
    open_answer(out_, profile_, opens_thought(profile_, options.thinking));
    return std::move(out_);
  }

 private:
  bool has_switch() const { return has_thought_switch(profile_.chat_template); }
  bool is_coder() const { return profile_.chat_template == ChatTemplate::qwen3_coder; }

  void end_turn() {
    close_turn(out_);
    add_boundary(out_);
  }

  ContentRange content_of(const ChatMessage& message) const {
    const ContentRange all{0, message.content.size()};
    const bool trims = has_switch() || (is_coder() && !message.tool_calls.empty());
    return trims ? trimmed(message.content, all) : all;
  }

  // What is before the conversation, in one turn. Returns how many messages are written with it.
  std::size_t system_turn(std::span<const ChatMessage> messages,
                          std::span<const std::string> tools) {
    const bool given = !messages.empty() && messages.front().role == "system";
    const ContentRange content = given ? content_of(messages.front()) : ContentRange{};
    const bool has_content = content.end > content.begin;
    const std::string_view effort = effort_sentence(profile_);
    const bool shows_empty = given && profile_.chat_template != ChatTemplate::qwen3_8;
    const std::size_t written = given ? 1 : 0;
    if (effort.empty() && tools.empty() && !has_content && !shows_empty) return written;
    open_turn(out_, "system");
    text(out_, effort);
    if (!effort.empty() && (!tools.empty() || has_content)) text(out_, "\n\n");
    if (!tools.empty()) {
      add_tool_declarations(out_.pieces, tools, ToolStyle::json);
      if (has_content) text(out_, "\n\n");
    }
    if (has_content) text_with_boundaries(out_, messages.front(), content);
    end_turn();
    return written;
  }

  // Behind the system message, or a line of the template's own.
  std::size_t system_turn_of_coder(std::span<const ChatMessage> messages,
                                   std::span<const std::string> tools) {
    const bool given = !messages.empty() && messages.front().role == "system";
    open_turn(out_, "system");
    if (given)
      text_with_boundaries(out_, messages.front(), content_of(messages.front()));
    else
      text(out_, system_line_beside_tools);
    text(out_, "\n\n");
    add_tool_declarations(out_.pieces, tools, ToolStyle::tags);
    end_turn();
    return given ? 1 : 0;
  }

  void assistant_turn(const ChatMessage& message, bool keep_thought) {
    open_turn(out_, "assistant");
    if (!message.generated.empty())
      generated_turn(message, keep_thought);
    else
      rendered_turn(message, keep_thought);
    end_turn();
  }

  void generated_turn(const ChatMessage& message, bool keep_thought) {
    const bool thought = opens_thought(profile_, message.thinking);
    if (keep_thought) open_answer(out_, profile_, thought);
    out_.pieces.emplace_back(thought && !keep_thought ? behind_thought(profile_, message.generated)
                                                      : message.generated);
  }

  void rendered_turn(const ChatMessage& message, bool keep_thought) {
    ContentRange content = content_of(message);
    if (has_switch()) {
      std::string_view thought = message.thought ? std::string_view(*message.thought) : "";
      if (!message.thought && profile_.chat_template != ChatTemplate::qwen3_8)
        thought = split_thought(message.content, content);
      if (keep_thought) {
        special(out_, "<think>");
        text(out_, "\n" + std::string(trimmed(thought)) + "\n");
        special(out_, std::string(end_of_thought_tag));
        text(out_, "\n\n");
      }
    }
    text_with_boundaries(out_, message, content);
    std::string_view before = content.end > content.begin ? "\n\n" : "";
    for (const ToolCall& call : message.tool_calls) {
      text(out_, before);
      add_tool_call(out_.pieces, call, is_coder() ? ToolStyle::tags : ToolStyle::json);
      before = "\n";
    }
  }

  // Takes a thought out of `content`, where one is closed in it.
  static std::string_view split_thought(std::string_view all, ContentRange& content) {
    constexpr std::string_view opening = "<think>";
    std::string_view shown = all.substr(content.begin, content.end - content.begin);
    const std::size_t first_end = shown.find(end_of_thought_tag);
    if (first_end == std::string_view::npos) return {};
    std::string_view thought = shown.substr(0, first_end);
    const std::size_t begin = thought.rfind(opening);
    if (begin != std::string_view::npos) thought.remove_prefix(begin + opening.size());
    content.begin += shown.rfind(end_of_thought_tag) + end_of_thought_tag.size();
    while (content.begin < content.end && all[content.begin] == '\n') ++content.begin;
    return thought;
  }

  void tool_result(const ChatMessage& message, bool first, bool last) {
    if (first)
      open_turn(out_, "user");
    else
      text(out_, "\n");
    const ContentRange content = content_of(message);
    add_tool_result(
        out_.pieces,
        std::string_view(message.content).substr(content.begin, content.end - content.begin));
    if (!last) return;
    if (is_coder()) text(out_, "\n");
    end_turn();
  }

  const Profile& profile_;
  Rendered out_;
};

}  // namespace

bool opens_thought(const Profile& profile, std::optional<bool> thinking) {
  if (!profile.thinking || !has_thought_switch(profile.chat_template)) return profile.thinking;
  return thinking.value_or(profile.chat_template != ChatTemplate::qwen3_5_small);
}

Rendered render_chat(const Profile& profile, std::span<const ChatMessage> messages,
                     const ChatOptions& options) {
  return ChatWriter(profile).write(messages, options);
}

Rendered render_fim(const Profile& profile, std::string_view prefix, std::string_view suffix) {
  Rendered out;
  open_turn(out, "system");
  text(out, profile.system_fim);
  close_turn(out);
  add_boundary(out);
  if (profile.fim_order == FimOrder::chat) {
    fim_as_chat(out, profile, prefix, suffix);
    return out;
  }
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
  open_turn(out, "assistant");
  open_answer(out, profile, false);
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
