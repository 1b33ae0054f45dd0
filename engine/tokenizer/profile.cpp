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

// The template's text: chat_template.jinja, else tokenizer_config.json's chat_template (a string,
// or a list of named ones); empty without one.
std::string read_template(const std::filesystem::path& directory) {
  const std::filesystem::path jinja = directory / "chat_template.jinja";
  if (file_exists(jinja)) return read_text(jinja, max_json_bytes);
  const std::filesystem::path path = directory / "tokenizer_config.json";
  if (!file_exists(path)) return {};
  const json document = parse_json(read_text(path, max_json_bytes), path.string());
  const Fields fields(document, path.string());
  const json* value = fields.find("chat_template");
  if (!value) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) fields.refuse("chat_template", "a string or a list");
  for (const json& entry : *value) {
    const Fields named(entry, path.string() + ": chat_template");
    if (named.text("name") == "default") return named.text("template");
  }
  return {};
}

// Whether the generation prompt, which a template writes last, leaves a <think> open.
bool opens_think(std::string_view chat_template) {
  const std::size_t prompt = chat_template.rfind("add_generation_prompt");
  if (prompt == std::string_view::npos) return false;
  const std::size_t open = chat_template.find("<think>", prompt);
  return open != std::string_view::npos &&
         chat_template.find("</think>", open) == std::string_view::npos;
}

void add_stop(std::vector<TokenId>& stop, std::optional<TokenId> id) {
  if (id && std::ranges::find(stop, *id) == stop.end()) stop.push_back(*id);
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
    else
      fields.refuse("fim_order", "\"prefix_first\" or \"suffix_first\"");
  }
  if (fields.array("chat_stop")) profile.chat_stop = read_stop(fields, "chat_stop", tokenizer);
  if (fields.array("fim_stop")) profile.fim_stop = read_stop(fields, "fim_stop", tokenizer);
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
  if (!profile.thinking) return;
  need("<think>", "the template of a thinking model");
  need("</think>", "the template of a thinking model");
}

}  // namespace

Profile read_profile(const std::filesystem::path& directory, const ModelConfig& config,
                     const Tokenizer& tokenizer, const GenerationDefaults& defaults) {
  std::error_code ignored;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(directory, ignored);
  Profile profile;
  profile.name = (ignored ? directory : whole).filename().string();
  profile.thinking = opens_think(read_template(directory));
  profile.system_chat = "You are a programming assistant inside an editor.";
  profile.system_fim = "You are a code completion assistant.";
  profile.context_tokens = std::min(config.max_position_embeddings, largest_default_context);
  profile.fim_prefix_tokens = std::min(profile.context_tokens / 2, largest_default_prefix);
  profile.fim_suffix_tokens = std::min(profile.context_tokens / 8, largest_default_suffix);
  profile.surroundings = profile.context_tokens >= min_context_for_surroundings;
  for (const TokenId id : defaults.eos) add_stop(profile.chat_stop, id);
  add_stop(profile.chat_stop, tokenizer.special("<|im_end|>"));
  for (const char* content : fim_stop_tokens) {
    add_stop(profile.fim_stop, tokenizer.special(content));
  }

  const std::filesystem::path overrides = directory / "hearth.json";
  if (file_exists(overrides)) {
    override_from(overrides, config, tokenizer, profile);
  }
  check_template_tokens(profile, tokenizer, directory);
  return profile;
}

}  // namespace hearth::engine
