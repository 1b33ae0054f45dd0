// What a checkpoint was trained to read: its family, template, system lines, wording of tasks and
// fill-in-the-middle order; and rendering of prompts into pieces. Read from the checkpoint's files.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/tokenizer/chat_template.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace hearth::engine {

// How a completion is asked for. chat: fill-in-the-middle is of no use with this checkpoint, so in
// words, as a turn of a conversation.
enum class FimOrder : std::uint8_t { prefix_first, suffix_first, chat };

// How much a model is told to think, where its template knows that (Qwen3.8): a sentence at the
// very beginning, so one for all prompts.
enum class Effort : std::uint8_t { low, medium, xhigh };

struct ThoughtOptions {
  Effort effort = Effort::medium;
  // Earlier turns are shown as they were written, thoughts included, so that a prompt begins with
  // all of the one before it. Else, as most of the templates have it, without the thoughts before
  // the last question.
  bool keep = true;
};

// Built-in values stand for the published checkpoints; DIR/hearth.json, where present, overrides
// single keys (every key checked, unknown keys refused):
//   name, system_chat, system_fim     strings
//   thinking, surroundings            true or false
//   fim_order                         "prefix_first", "suffix_first" or "chat"
//   tasks                             {"explain": "wording", …}: in place of the actions' own
//   context_tokens                    up to config.json's max_position_embeddings
//   fim_prefix_tokens, fim_suffix_tokens   together at most context_tokens
//   chat_stop, fim_stop               lists of added tokens' contents
// The engine knows no task: the wordings are handed on as they are, variables and all.
struct Profile {
  std::string name;  // "Qwen3-Coder-Next", "ember": for people
  ChatTemplate chat_template = ChatTemplate::chatml;
  // It may write a thought before its answer: the generation prompt opens <think>; the answer
  // closes it, or is made to.
  bool thinking = false;
  ThoughtOptions thoughts = {};                 // not read from files: a person's choice
  TokenId end_of_thought_id = -1;               // </think>; −1 without one
  std::vector<TokenId> line_breaks = {};        // tokens of nothing else, rising
  FimOrder fim_order = FimOrder::prefix_first;  // chat where the vocabulary lacks the tokens
  std::string system_chat;                      // system line of tasks
  std::string system_fim;                       // system line of fill-in-the-middle
  std::map<std::string, std::string> tasks;     // "explain" → "What is this?"; empty: none
  std::int64_t context_tokens = 0;              // the most it may be shown, answer included
  std::int64_t fim_prefix_tokens = 0;           // budgets of the two sides
  std::int64_t fim_suffix_tokens = 0;
  bool surroundings = true;        // show imports and outline beside the selection
  std::vector<TokenId> chat_stop;  // ids that end an answer
  std::vector<TokenId> fim_stop;
};
// The family is read from the chat template (chat_template.hpp), the stop ids from
// generation_config.json, tokenizer_config.json's eos_token and the added tokens.
Profile read_profile(const std::filesystem::path& directory, const ModelConfig& config,
                     const Tokenizer& tokenizer, const GenerationDefaults& defaults);

bool has_fim_tokens(const Tokenizer& tokenizer);

struct ToolCall {
  std::string name;
  std::string arguments = "{}";  // a JSON object
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"; "tool": a result, for the call before it
  std::string content;
  std::vector<std::size_t> boundaries = {};  // rising byte offsets in content that get a boundary
  // The tokens of an assistant's turn as they were generated, its thought too: they stand in place
  // of all the rest, so that this prompt begins as that generation ended. Empty: the rest is
  // rendered.
  std::vector<TokenId> generated = {};
  std::optional<bool> thinking = {};        // ChatOptions::thinking when they were generated
  std::optional<std::string> thought = {};  // of an assistant's turn; ChatML shows none
  std::vector<ToolCall> tool_calls = {};    // likewise
};

struct ChatOptions {
  // Whether to think before this answer; empty: as the template does where nothing is said.
  std::optional<bool> thinking = {};
  std::vector<std::string> tools =
      {};  // that may be called: their declarations, a JSON object each
};

// Whether an answer that is asked for so begins inside a thought. ChatML's Thinking checkpoint has
// no switch: it always does.
bool opens_thought(const Profile& profile, std::optional<bool> thinking);

// A template's output: pieces, and boundaries: after how many pieces one is (rising).
struct Rendered {
  std::vector<Piece> pieces;
  std::vector<std::size_t> boundaries;
};
// As the checkpoint's template has it; the generation prompt is added. Error for tools that the
// template is not known to declare, and for JSON that is none.
Rendered render_chat(const Profile& profile, std::span<const ChatMessage> messages,
                     const ChatOptions& options = {});
// The tokens with which the template closes a thought, up to the answer: a line break (where the
// thought ends in the middle of a line), the tag, and an empty line. Error without the tag.
inline constexpr std::string_view end_of_thought_tag = "</think>";
std::vector<TokenId> end_of_thought(const Tokenizer& tokenizer, bool in_line);
// Fill in the middle, in the profile's order, as a user turn under system_fim; without a thought.
// As a chat, the answer has begun already: behind the end of the prefix in a fence of its own, so
// that what is written next is the completion, up to fim_chat_stop or a token that ends a turn.
Rendered render_fim(const Profile& profile, std::string_view prefix, std::string_view suffix);
inline constexpr std::array<std::string_view, 2> fim_chat_stop{"\n```", "```"};

// Token ids and the positions of boundaries: a boundary is after the tokens that text before it
// shares with the whole, so that text added behind it leaves them as they are.
struct TokenPrompt {
  std::vector<TokenId> tokens;
  std::vector<std::size_t> boundaries;  // rising token counts, each ≤ tokens.size()
};
TokenPrompt tokenize(const Tokenizer& tokenizer, const Rendered& rendered);

// Takes a thinking model's answer piece by piece and lets through what comes after </think> and
// the line breaks behind it. For others everything passes. A thought that is never closed has no
// answer behind it.
class ThinkingFilter {
 public:
  explicit ThinkingFilter(bool thinking) : inside_(thinking) {}
  std::string push(std::string_view text);  // visible text
  std::string finish();                     // at the end: what was held back
  std::string take_thought();               // what was added to the thought since the last call
  bool thinking() const { return inside_; }

 private:
  bool inside_;
  bool leading_ = false;  // just behind the tag
  std::string held_;      // may be the beginning of the tag
  std::string thought_;   // not taken yet
};

}  // namespace hearth::engine
