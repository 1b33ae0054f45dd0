// Reading .hearth/prompts, and telling whose words a prompt has.
#include "lsp/actions/team_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "lsp/context/libgit2.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view prompts_directory = ".hearth/prompts";
constexpr std::string_view prompt_extension = ".md";
constexpr std::string_view changes_code_mark = ".edit";
constexpr std::size_t max_prompts = 50;
constexpr std::size_t max_prompt_bytes = std::size_t{64} << 10U;
constexpr std::size_t max_prompt_name_bytes = 60;

// Begins the source of the team's wordings.
constexpr std::string_view team_source = "the team's, ";

// It becomes a part of a code action's kind.
bool may_be_prompt_name(std::string_view name) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789-_";
  return !name.empty() && name.size() <= max_prompt_name_bytes &&
         name.find_first_not_of(letters) == std::string_view::npos;
}

// Takes a heading in the first line away.
std::string taken_title(std::string& text) {
  if (!text.starts_with("# ")) return {};
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string title(trimmed(std::string_view(text).substr(1, end - 1)));
  text.erase(0, end);
  text = std::string(trimmed(text));
  return shortened(title);
}

// Throws a std::exception that says why the file is not used.
TeamPrompt read_prompt(const std::string& file, std::string text) {
  TeamPrompt prompt{
      std::string(std::string_view(file).substr(0, file.size() - prompt_extension.size())),
      nullptr,
      {},
      fmt::format("{}/{}", prompts_directory, file),
      {}};
  prompt.text = trimmed(text);
  prompt.action = action_with_id(prompt.name);
  if (prompt.action == nullptr) {
    std::string_view name = prompt.name;
    const bool changes = name.ends_with(changes_code_mark);
    if (changes) name.remove_suffix(changes_code_mark.size());
    if (!may_be_prompt_name(name))
      throw std::runtime_error("its name is to be lower-case letters, digits and hyphens");
    prompt.action = action_with_id(changes ? "edit" : "ask");
    prompt.title = taken_title(prompt.text);
    if (prompt.title.empty()) prompt.title = name;
  }
  if (is_blank(prompt.text)) throw std::runtime_error("it is empty");
  check({prompt.path, prompt.text});
  return prompt;
}

}  // namespace

TeamPrompts read_team_prompts(const std::string& folder, const Host& host) {
  TeamPrompts found{folder, host.real_path(path_of(folder)).value_or(""), {}, {}, {}};
  const std::vector<std::string> folders{folder};
  const auto place = path_within(fmt::format("{}/{}", folder, prompts_directory), folders, host);
  if (!place) return found;
  std::string content;
  for (const DirectoryEntry& entry : host.list_directory(*place)) {
    if (entry.is_directory || !entry.name.ends_with(prompt_extension)) continue;
    try {
      if (found.prompts.size() == max_prompts)
        throw std::runtime_error(fmt::format("there are more than {}", max_prompts));
      auto text = host.read_file(fmt::format("{}/{}", *place, entry.name), max_prompt_bytes);
      if (!text || !is_valid_utf8(*text)) {
        throw std::runtime_error(
            fmt::format("it is no text, or longer than {} bytes", max_prompt_bytes));
      }
      // Lengths go before: no other files give the same.
      const std::string part =
          fmt::format("{} {} {}\n{}", entry.name.size(), entry.name, text->size(), *text);
      found.prompts.push_back(read_prompt(entry.name, *std::move(text)));
      content += part;
    } catch (const std::exception& fault) {
      found.ignored.push_back(fmt::format("{}/{} is not used: {}", prompts_directory,
                                          valid_utf8(entry.name), fault.what()));
    }
  }
  if (!found.prompts.empty()) found.hash = blob_hash(content);
  return found;
}

TeamPrompts confirmed_team_prompts(const std::string& folder, const Host& host,
                                   const PromptTrust& trust) {
  TeamPrompts found = read_team_prompts(folder, host);
  if (found.hash.empty() || trust.confirmed(found.root) != found.hash) found.prompts.clear();
  return found;
}

Json to_json(const TeamPrompts& found, const std::string& confirmed) {
  Json prompts = Json::array();
  for (const TeamPrompt& prompt : found.prompts) {
    Json shown{{"name", prompt.name},
               {"path", prompt.path},
               {"action", prompt.action->id},
               {"text", prompt.text}};
    if (!prompt.title.empty()) shown["title"] = prompt.title;
    prompts.push_back(std::move(shown));
  }
  return {{"folder", found.folder},
          {"hash", found.hash},
          {"confirmed", confirmed},
          {"prompts", std::move(prompts)},
          {"ignored", found.ignored}};
}

std::string team_folder(std::string_view uri, std::span<const std::string> folders) {
  if (uri.empty()) return folders.size() == 1 ? folders.front() : std::string();
  return folder_of(uri, folders);
}

std::optional<Wording> team_wording(const TeamPrompts& confirmed, const Action& action,
                                    const std::string& own) {
  const std::string_view name = own.empty() ? action.id : std::string_view(own);
  const auto found = std::ranges::find_if(confirmed.prompts, [&](const TeamPrompt& prompt) {
    return prompt.name == name && prompt.action == &action && prompt.title.empty() == own.empty();
  });
  if (found != confirmed.prompts.end())
    return Wording{std::string(team_source) + found->path, found->text};
  if (own.empty()) return std::nullopt;
  throw CannotServe("the team's prompts have changed since they were confirmed, or " + own +
                        " is not there any more: look at them and apply them again",
                    false);
}

bool is_in_team_words(const Prompt& prompt) {
  return std::ranges::any_of(prompt.messages, [](const Message& message) {
    return std::ranges::any_of(message.segments, [](const Segment& segment) {
      return segment.provenance == Provenance::instruction && segment.why.starts_with(team_source);
    });
  });
}

}  // namespace hearth::lsp
