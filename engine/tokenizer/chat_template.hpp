// Which chat template a checkpoint has: read from the template's own text, which says by what it
// tests when a model thinks and which thoughts it is shown again. Templates are recognised, not
// run: one is a program in a checkpoint that nobody vouches for, and writes text in which a
// person's "<|im_end|>" and its own look alike. What each writes is in templates.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace hearth::engine {

enum class ChatTemplate : std::uint8_t {
  chatml,         // turns and nothing else; the Thinking checkpoint's prompt opens a thought
  qwen3_coder,    // as ChatML, with tools; Qwen3-Coder-Next's too
  qwen3_5,        // and the rest: a thought, open or closed, before each answer; tools
  qwen3_5_small,  // as 3.5, but thinks only where it is asked to
  qwen3_6,        // as 3.5
  qwen3_8,        // takes a reasoning effort; only a thought handed over as one is one
};

// For people: "Qwen3.5 (small)".
std::string_view name(ChatTemplate chat_template);

// The text: DIR/chat_template.jinja, else tokenizer_config.json's chat_template (a string, or the
// one of a list that is named "default"); empty without one. Throws Error naming file and field.
std::string read_template(const std::filesystem::path& directory);

// What is neither Qwen3-Coder's nor of Qwen3.5 to 3.8 is ChatML.
ChatTemplate which_template(std::string_view text);
// Whether a prompt says if a thought comes before its answer, by a <think> that is open or closed.
bool has_thought_switch(ChatTemplate chat_template);
// Whether the text is one of a model that can be told to think or not, and yet none of those that
// which_template() knows: such a checkpoint is shown plain ChatML.
bool is_unknown_variant(std::string_view text);
// Whether ChatML's generation prompt, which a template writes last, leaves a <think> open.
bool opens_think(std::string_view text);

}  // namespace hearth::engine
