// read_profile: what the published checkpoints have in common, what a checkpoint's own files say,
// and hearth.json over both.
#include "engine/tokenizer/profile.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "engine/support/file.hpp"
#include "engine/support/json_tree.hpp"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr std::int64_t largest_default_context = 32'768;
constexpr std::int64_t largest_default_prefix = 4'096;
constexpr std::int64_t largest_default_suffix = 1'024;
constexpr std::int64_t min_context_for_surroundings = 4'096;

// The stop ids that the published models name for fill-in-the-middle; <|fim_middle|> is not one.
constexpr std::array fim_stop_tokens{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_pad|>",
                                     "<|repo_name|>",  "<|file_sep|>",   "<|endoftext|>",
                                     "<|im_end|>"};

constexpr std::array fim_tokens{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"};

void add_stop(std::vector<TokenId>& stop, std::optional<TokenId> id) {
  if (id && std::ranges::find(stop, *id) == stop.end()) stop.push_back(*id);
}

// tokenizer_config.json's eos_token: its content, or an object that has it.
std::optional<TokenId> read_end_token(const std::filesystem::path& directory,
                                      const Tokenizer& tokenizer) {
  const std::filesystem::path path = directory / "tokenizer_config.json";
  if (!file_exists(path)) return std::nullopt;
  const json document = parse_json(read_text(path, max_json_bytes), path.string());
  const Fields fields(document, path.string());
  const json* value = fields.find("eos_token");
  if (!value) return std::nullopt;
  if (value->is_object())
    return tokenizer.special(Fields(*value, path.string() + ": eos_token").text("content"));
  return tokenizer.special(fields.text("eos_token"));
}

std::vector<TokenId> read_stop(const Fields& fields, const std::string& key,
                               const Tokenizer& tokenizer) {
  std::vector<TokenId> stop;
  for (const json& content : *fields.array(key)) {
    const std::optional<TokenId> id = content.is_string()
                                          ? tokenizer.special(content.get_ref<const std::string&>())
                                          : std::nullopt;
    if (!id) fields.refuse(key, "added tokens of tokenizer.json; " + shown(content) + " is none");
    add_stop(stop, id);
  }
  return stop;
}

void read_tasks(const Fields& fields, std::map<std::string, std::string>& tasks) {
  const json* object = fields.object("tasks");
  if (!object) return;
  const Fields wordings(*object, fields.name() + ": tasks");
  for (const auto& [task, wording] : object->items()) tasks[task] = wordings.text(task);
}

void check_keys(const json& document, const std::string& name) {
  constexpr std::array known{"name",           "thinking",          "fim_order",
                             "system_chat",    "system_fim",        "tasks",
                             "context_tokens", "fim_prefix_tokens", "fim_suffix_tokens",
                             "surroundings",   "chat_stop",         "fim_stop"};
  for (const auto& [key, value] : document.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      throw Error(name + ": unknown key " + shown(key));
    }
  }
}

void override_from(const std::filesystem::path& path, const ModelConfig& config,
                   const Tokenizer& tokenizer, Profile& profile) {
  const json document = parse_json(read_text(path, max_json_bytes), path.string());
  const Fields fields(document, path.string());
  check_keys(document, path.string());
  const std::int64_t max = config.max_position_embeddings;
  profile.name = fields.text("name", profile.name);
  profile.thinking = fields.flag("thinking", profile.thinking);
  profile.system_chat = fields.text("system_chat", profile.system_chat);
  profile.system_fim = fields.text("system_fim", profile.system_fim);
  profile.surroundings = fields.flag("surroundings", profile.surroundings);
  profile.context_tokens = fields.integer("context_tokens", 1, max, profile.context_tokens);
  profile.fim_prefix_tokens =
      fields.integer("fim_prefix_tokens", 0, max, profile.fim_prefix_tokens);
  profile.fim_suffix_tokens =
      fields.integer("fim_suffix_tokens", 0, max, profile.fim_suffix_tokens);
  if (profile.fim_prefix_tokens + profile.fim_suffix_tokens > profile.context_tokens) {
    throw Error(path.string() + ": fim_prefix_tokens and fim_suffix_tokens, " +
                std::to_string(profile.fim_prefix_tokens) + " and " +
                std::to_string(profile.fim_suffix_tokens) + ", exceed context_tokens, " +
                std::to_string(profile.context_tokens));
  }
  read_tasks(fields, profile.tasks);
  if (fields.find("fim_order")) {
    const std::string order = fields.text("fim_order");
    if (order == "suffix_first")
      profile.fim_order = FimOrder::suffix_first;
    else if (order == "prefix_first")
      profile.fim_order = FimOrder::prefix_first;
    else if (order == "chat")
      profile.fim_order = FimOrder::chat;
    else
      fields.refuse("fim_order", "\"prefix_first\", \"suffix_first\" or \"chat\"");
  }
  if (fields.array("chat_stop")) profile.chat_stop = read_stop(fields, "chat_stop", tokenizer);
  if (fields.array("fim_stop")) profile.fim_stop = read_stop(fields, "fim_stop", tokenizer);
}

void find_thought_tokens(const Tokenizer& tokenizer, Profile& profile) {
  profile.end_of_thought_id = tokenizer.special(end_of_thought_tag).value_or(-1);
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId id = 0; id < size; ++id) {
    const std::string_view bytes = tokenizer.bytes(id);
    if (!bytes.empty() && bytes.find_first_not_of('\n') == std::string_view::npos)
      profile.line_breaks.push_back(id);
  }
}

void check_template_tokens(const Profile& profile, const Tokenizer& tokenizer,
                           const std::filesystem::path& directory) {
  const auto need = [&](const char* content, const char* why) {
    if (tokenizer.special(content)) return;
    throw Error((directory / "tokenizer.json").string() + ": no added token " + content +
                ", which " + why + " needs");
  };
  need("<|im_start|>", "the chat template");
  need("<|im_end|>", "the chat template");
  if (profile.fim_order != FimOrder::chat) {
    for (const char* content : fim_tokens) need(content, "hearth.json's fim_order");
  }
  if (!profile.thinking && !has_thought_switch(profile.chat_template)) return;
  need("<think>", "the template of a thinking model");
  need("</think>", "the template of a thinking model");
}

}  // namespace

bool has_fim_tokens(const Tokenizer& tokenizer) {
  return std::ranges::all_of(
      fim_tokens, [&](const char* content) { return tokenizer.special(content).has_value(); });
}

Profile read_profile(const std::filesystem::path& directory, const ModelConfig& config,
                     const Tokenizer& tokenizer, const GenerationDefaults& defaults) {
  std::error_code ignored;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(directory, ignored);
  Profile profile;
  profile.name = (ignored ? directory : whole).filename().string();
  const std::string chat_template = read_template(directory);
  profile.chat_template = which_template(chat_template);
  profile.thinking = has_thought_switch(profile.chat_template) || opens_think(chat_template);
  profile.system_chat = "You are a programming assistant inside an editor.";
  profile.system_fim = "You are a code completion assistant.";
  profile.context_tokens = std::min(config.max_position_embeddings, largest_default_context);
  profile.fim_prefix_tokens = std::min(profile.context_tokens / 2, largest_default_prefix);
  profile.fim_suffix_tokens = std::min(profile.context_tokens / 8, largest_default_suffix);
  profile.surroundings = profile.context_tokens >= min_context_for_surroundings;
  for (const TokenId id : defaults.eos) add_stop(profile.chat_stop, id);
  add_stop(profile.chat_stop, tokenizer.special("<|im_end|>"));
  add_stop(profile.chat_stop, read_end_token(directory, tokenizer));
  for (const char* content : fim_stop_tokens) {
    add_stop(profile.fim_stop, tokenizer.special(content));
  }
  if (!has_fim_tokens(tokenizer)) profile.fim_order = FimOrder::chat;

  const std::filesystem::path overrides = directory / "hearth.json";
  if (file_exists(overrides)) {
    override_from(overrides, config, tokenizer, profile);
  }
  check_template_tokens(profile, tokenizer, directory);
  find_thought_tokens(tokenizer, profile);
  return profile;
}

}  // namespace hearth::engine
