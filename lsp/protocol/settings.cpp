// Reading settings, and matching paths.
#include "lsp/protocol/settings.hpp"

#include <algorithm>
#include <initializer_list>

#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

void read_names(const Json& said, const char* section, const char* name, Settings::Names& names) {
  const Json* array = find_path(said, {section, name});
  if (array == nullptr) return;
  const std::string full = std::string(section) + "." + name;
  if (!array->is_array()) throw InvalidParams("\"" + full + "\" is not a list of strings");
  Settings::Names read;
  for (const Json& entry : *array) {
    if (!entry.is_string()) throw InvalidParams("\"" + full + "\" is not a list of strings");
    read.insert(entry.get<std::string>());
  }
  names = std::move(read);
}

}  // namespace

Settings changed_settings(Settings set, const Json& said) {
  if (!said.is_object()) return set;
  read_names(said, "actions", "disabled", set.disabled_actions);
  read_names(said, "off", "languages", set.off_languages);
  read_names(said, "off", "paths", set.off_paths);
  if (const Json* automatic = find_path(said, {"inline", "automatic"})) {
    if (!automatic->is_boolean())
      throw InvalidParams("\"inline.automatic\" is neither true nor false");
    set.completes = automatic->get<bool>();
  }
  return set;
}

bool matches(std::string_view pattern, std::string_view path) {
  // Back to the last star where what follows it does not fit: linear in either for one star.
  std::size_t at = 0;
  std::size_t star = pattern.npos;
  std::size_t star_at = 0;
  for (std::size_t i = 0; i < path.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_at = i;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == path[i])) {
      ++at;
      ++i;
    } else if (star != pattern.npos) {
      at = star + 1;
      i = ++star_at;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == pattern.npos;
}

bool is_off(const Settings& settings, const Snapshot& snapshot,
            std::span<const std::string> folders) {
  if (settings.off_languages.contains(snapshot.language_id)) return true;
  const std::string path = display_path(snapshot.uri, folders);
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  return std::ranges::any_of(settings.off_paths, [&](std::string_view pattern) {
    return matches(pattern, pattern.find('/') == pattern.npos ? name : path);
  });
}

}  // namespace hearth::lsp
