// From a file to a snapshot.
#include "lsp/actions/unopened.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "lsp/context/ignore_rules.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/edits/new_file.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_bytes = std::size_t{4} << 20U;

std::string folder_above(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos || slash == 0 ? "/" : path.substr(0, slash);
}

// By the rules of the folder, and of repositories inside of it. Both without links.
bool is_ignored(const std::string& path, const std::string& root, const Host& host) {
  const auto ignored_in = [&](const std::string& folder) {
    const IgnoreRules rules(folder);
    const std::string below = path.substr(folder.size() + 1);
    return rules.ignores(below, false) && !rules.tracks(below);
  };
  if (ignored_in(root)) return true;
  for (std::string above = folder_above(path); above.size() > root.size();
       above = folder_above(above)) {
    if (host.is_there(above + "/.git") && ignored_in(above)) return true;
  }
  return false;
}

// The innermost of `folders` that a path is below, both without links; empty: it is in none.
std::string innermost_root(const std::string& real, std::span<const std::string> folders,
                           const Host& host) {
  std::string root;
  for (const std::string& folder : folders) {
    const auto found = host.real_path(path_of(folder));
    if (found && real.starts_with(*found + "/") && found->size() > root.size()) root = *found;
  }
  return root;
}

bool is_off_limits_in(const std::string& root, const std::string& real) {
  const std::vector<std::string> roots{file_uri(root)};
  return is_off_limits(file_uri(real), roots);
}

}  // namespace

SnapshotPtr read_unopened(const std::string& uri, std::span<const std::string> folders,
                          const Host& host) {
  const auto path = path_within(uri, folders, host);
  auto text = path ? host.read_file(*path, max_bytes) : std::nullopt;
  if (!text || !is_valid_utf8(*text)) return nullptr;
  return std::make_shared<Snapshot>(
      Snapshot{uri, {}, unopened_version, std::make_shared<Text>(*std::move(text))});
}

std::optional<std::string> real_place(const std::string& path, const Host& host) {
  std::string above = folder_above(path);
  while (above != "/" && !host.is_there(above)) above = folder_above(above);
  if (path.find("/../") != path.npos) return std::nullopt;  // of a folder that is not there
  auto real = host.real_path(above);
  if (!real) return std::nullopt;  // a link that leads nowhere
  return (*real == "/" ? "" : *std::move(real)) + path.substr(above == "/" ? 0 : above.size());
}

std::string creation_refusal(const std::string& uri, std::span<const std::string> folders,
                             const Host& host) {
  const std::string path = path_of(uri);
  const std::string name = display_path(uri, folders);
  if (host.is_there(path)) return name + " is there already, and is not overwritten";
  const auto real = real_place(path, host);
  const std::string root = real ? innermost_root(*real, folders, host) : std::string();
  if (root.empty()) return name + " would be outside of the workspace";
  if (is_off_limits_in(root, *real)) return name + " would be a file that hearth never makes";
  if (is_secret(file_uri(*real))) return name + " looks like a file of secrets";
  return is_ignored(*real, root, host) ? name + " is a file that git ignores" : "";
}

std::string edit_refusal(const FileEdit& edit, std::span<const std::string> folders,
                         const Host& host) {
  if (edit.creates) return creation_refusal(edit.uri, folders, host);
  const std::string name = display_path(edit.uri, folders);
  const bool is_file = edit.uri.starts_with("file:");
  const auto real = is_file ? host.real_path(path_of(edit.uri)) : std::nullopt;
  const std::string root = real ? innermost_root(*real, folders, host) : std::string();
  if (is_off_limits(edit.uri, folders) || (real && is_off_limits_in(root, *real)))
    return name + " is a file that hearth never changes";
  if (is_secret(edit.uri) || (real && is_secret(file_uri(*real))))
    return name + " looks like a file of secrets";
  const bool ignored = !root.empty() && is_ignored(*real, root, host);
  return ignored ? name + " is a file that git ignores" : "";
}

}  // namespace hearth::lsp
