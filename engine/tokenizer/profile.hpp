// What a checkpoint was trained to read: its family, template, system lines, wording of tasks and
// fill-in-the-middle order; and rendering of prompts into pieces. Read from the checkpoint's files.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace hearth::engine {

enum class FimOrder : std::uint8_t { prefix_first, suffix_first };

// Built-in values stand for the published checkpoints; DIR/hearth.json, where present, overrides
// single keys (every key checked, unknown keys refused):
//   name, system_chat, system_fim     strings
//   thinking, surroundings            true or false
//   fim_order                         "prefix_first" or "suffix_first"
//   tasks                             {"explain": "wording", …}: in place of the actions' own
//   context_tokens                    up to config.json's max_position_embeddings
//   fim_prefix_tokens, fim_suffix_tokens   together at most context_tokens
//   chat_stop, fim_stop               lists of added tokens' contents
// The engine knows no task: the wordings are handed on as they are, variables and all.
struct Profile {
  std::string name;  // "Qwen3-Coder-Next", "ember": for people
  bool thinking =
      false;  // the generation prompt opens <think>; the answer closes it, or is made to
  FimOrder fim_order = FimOrder::prefix_first;
  std::string system_chat;                   // system line of tasks
  std::string system_fim;                    // system line of fill-in-the-middle
  std::map<std::string, std::string> tasks;  // "explain" → "What is this?"; empty: none
  std::int64_t context_tokens = 0;           // the most it may be shown, answer included
  std::int64_t fim_prefix_tokens = 0;        // budgets of the two sides
  std::int64_t fim_suffix_tokens = 0;
  bool surroundings = true;        // show imports and outline beside the selection
  std::vector<TokenId> chat_stop;  // ids that end an answer
  std::vector<TokenId> fim_stop;
};
// The family is read from tokenizer_config.json's or chat_template.jinja's template (does the
// generation prompt open <think>), the stop ids from generation_config.json and the added tokens.
Profile read_profile(const std::filesystem::path& directory, const ModelConfig& config,
                     const Tokenizer& tokenizer, const GenerationDefaults& defaults);

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
  std::vector<std::size_t> boundaries = {};  // rising byte offsets in content that get a boundary
  // The tokens of an assistant's turn as they were generated, its thought too: they stand in place
  // of content, so that this prompt begins as that generation ended. Empty: content is rendered.
  std::vector<TokenId> generated = {};
};

// A template's output: pieces, and boundaries: after how many pieces one is (rising).
struct Rendered {
  std::vector<Piece> pieces;
  std::vector<std::size_t> boundaries;
};
// ChatML; the generation prompt is added.
Rendered render_chat(const Profile& profile, std::span<const ChatMessage> messages);
// The tokens with which the template closes a thought, up to the answer: a line break (where the
// thought ends in the middle of a line), the tag, and an empty line. Error without the tag.
inline constexpr std::string_view end_of_thought_tag = "</think>";
std::vector<TokenId> end_of_thought(const Tokenizer& tokenizer, bool in_line);
// Fill in the middle, in the profile's order, as a user turn under system_fim.
Rendered render_fim(const Profile& profile, std::string_view prefix, std::string_view suffix);

// Token ids and the positions of boundaries: a boundary is after the tokens that text before it
// shares with the whole, so that text added behind it leaves them as they are.
struct TokenPrompt {
  std::vector<TokenId> tokens;
  std::vector<std::size_t> boundaries;  // rising token counts, each ≤ tokens.size()
};
TokenPrompt tokenize(const Tokenizer& tokenizer, const Rendered& rendered);

// Takes a thinking model's answer piece by piece and lets through what comes after </think> and
// the line breaks behind it. For others everything passes. A thought that is never closed stays
// hidden.
class ThinkingFilter {
 public:
  explicit ThinkingFilter(bool thinking) : inside_(thinking) {}
  std::string push(std::string_view text);  // visible text
  std::string finish();                     // at the end: what was held back
  bool thinking() const { return inside_; }

 private:
  bool inside_;
  bool leading_ = false;  // just behind the tag
  std::string held_;      // may be the beginning of the tag
};

}  // namespace hearth::engine
