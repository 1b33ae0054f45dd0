// Reading a checkpoint's chat template and telling the known ones apart.
#include "engine/tokenizer/chat_template.hpp"

#include <algorithm>

#include "engine/support/file.hpp"
#include "engine/support/json_tree.hpp"

namespace hearth::engine {
namespace {

constexpr std::string_view switch_name = "enable_thinking";
constexpr std::string_view prompt_name = "add_generation_prompt";

bool contains_text(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view from_next_word(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// How the last test of the switch comes out where nothing is said about it.
enum class Unsaid : std::uint8_t { thinks, does_not_think, unknown };

Unsaid where_nothing_is_said(std::string_view text) {
  const std::size_t found = text.rfind(switch_name);
  if (found == std::string_view::npos) return Unsaid::unknown;
  std::string_view rest = from_next_word(text.substr(found + switch_name.size()));
  if (!rest.starts_with("is")) return Unsaid::unknown;
  rest = from_next_word(rest.substr(2));
  if (rest.starts_with("false")) return Unsaid::thinks;
  if (!rest.starts_with("true")) return Unsaid::unknown;
  // `enable_thinking is not defined or enable_thinking is true`: people mend a small model's so.
  const std::size_t clause = std::min(text.rfind("{%", found), found);
  const bool or_undefined = contains_text(text.substr(clause, found - clause), "is not defined");
  return or_undefined ? Unsaid::thinks : Unsaid::does_not_think;
}

}  // namespace

std::string_view name(ChatTemplate chat_template) {
  switch (chat_template) {
    case ChatTemplate::chatml:
      return "ChatML";
    case ChatTemplate::qwen3_coder:
      return "Qwen3-Coder";
    case ChatTemplate::qwen3_5:
      return "Qwen3.5";
    case ChatTemplate::qwen3_5_small:
      return "Qwen3.5 (small)";
    case ChatTemplate::qwen3_6:
      return "Qwen3.6";
    case ChatTemplate::qwen3_8:
      return "Qwen3.8";
  }
  return "";
}

std::string read_template(const std::filesystem::path& directory) {
  const std::filesystem::path jinja = directory / "chat_template.jinja";
  if (file_exists(jinja)) return read_text(jinja, max_json_bytes);
  const std::filesystem::path path = directory / "tokenizer_config.json";
  if (!file_exists(path)) return {};
  const nlohmann::json document = parse_json(read_text(path, max_json_bytes), path.string());
  const Fields fields(document, path.string());
  const nlohmann::json* value = fields.find("chat_template");
  if (!value) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) fields.refuse("chat_template", "a string or a list");
  for (const nlohmann::json& entry : *value) {
    const Fields named(entry, path.string() + ": chat_template");
    if (named.text("name") == "default") return named.text("template");
  }
  return {};
}

ChatTemplate which_template(std::string_view text) {
  // A tool is called in this form by all of them, and by none of the older ones.
  if (!contains_text(text, "<function=") || !contains_text(text, prompt_name))
    return ChatTemplate::chatml;
  // Qwen3-Coder declares tools in tags, member by member; those with a switch, as JSON.
  if (!contains_text(text, switch_name) && contains_text(text, "<parameters>"))
    return ChatTemplate::qwen3_coder;
  switch (where_nothing_is_said(text)) {
    case Unsaid::unknown:
      return ChatTemplate::chatml;
    case Unsaid::does_not_think:
      return ChatTemplate::qwen3_5_small;
    case Unsaid::thinks:
      break;
  }
  if (contains_text(text, "reasoning_effort")) return ChatTemplate::qwen3_8;
  if (contains_text(text, "preserve_thinking")) return ChatTemplate::qwen3_6;
  return ChatTemplate::qwen3_5;
}

bool has_thought_switch(ChatTemplate chat_template) {
  return chat_template != ChatTemplate::chatml && chat_template != ChatTemplate::qwen3_coder;
}

bool is_unknown_variant(std::string_view text) {
  return contains_text(text, switch_name) && which_template(text) == ChatTemplate::chatml;
}

bool opens_think(std::string_view text) {
  const std::size_t prompt = text.rfind(prompt_name);
  if (prompt == std::string_view::npos) return false;
  const std::size_t open = text.find("<think>", prompt);
  return open != std::string_view::npos && text.find("</think>", open) == std::string_view::npos;
}

}  // namespace hearth::engine
