// A walk through the folders, one after another.
#include "lsp/context/matching_files.hpp"

#include <git2.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "lsp/context/ignore_rules.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_directories = 100'000;

struct Free {
  void operator()(git_pathspec* patterns) const { git_pathspec_free(patterns); }
};
using PathSpec = std::unique_ptr<git_pathspec, Free>;

PathSpec compiled(std::span<const std::string> patterns) {
  std::vector<char*> texts;
  std::vector<std::string> kept(patterns.begin(), patterns.end());
  for (std::string& pattern : kept) texts.push_back(pattern.data());
  const git_strarray array{texts.data(), texts.size()};
  git_pathspec* made = nullptr;
  return PathSpec(git_pathspec_new(&made, &array) == 0 ? made : nullptr);
}

// Of one folder without links.
class Walk {
 public:
  Walk(const Host& host, std::string root) : host_(host), root_(std::move(root)), rules_(root_) {}

  // `shown`: the folder's path as the editor names it.
  void run(const git_pathspec& patterns, const std::string& shown, std::size_t max,
           MatchingFiles& found) const {
    std::deque<std::string> directories{""};
    std::vector<std::string> paths;
    for (std::size_t listed = 0; !directories.empty(); ++listed) {
      if (listed == max_directories) {
        found.cut = true;
        break;
      }
      const std::string directory = std::move(directories.front());
      directories.pop_front();
      for (const DirectoryEntry& entry : host_.list_directory(root_ + "/" + directory)) {
        const std::string path = directory.empty() ? entry.name : directory + "/" + entry.name;
        if (rules_.ignores_entry(path, entry.is_directory)) continue;
        if (entry.is_directory) {
          directories.push_back(path);
        } else if (git_pathspec_matches_path(&patterns, GIT_PATHSPEC_DEFAULT, path.c_str()) == 1 &&
                   !is_secret(root_ + "/" + path)) {
          paths.push_back(path);
        }
      }
    }
    std::ranges::sort(paths);
    for (const std::string& path : paths) {
      if (found.uris.size() == max) {
        found.cut = true;
        return;
      }
      found.uris.push_back(file_uri(shown + "/" + path));
    }
  }

 private:
  const Host& host_;
  const std::string root_;
  const IgnoreRules rules_;
};

}  // namespace

MatchingFiles matching_files(const Host& host, std::span<const std::string> folders,
                             std::span<const std::string> patterns, std::size_t max) {
  MatchingFiles found;
  for (const std::string& folder : folders) {
    const auto root = host.real_path(path_of(folder));
    if (!root) continue;
    Walk walk(host, *root);
    const PathSpec wanted = compiled(patterns);
    std::string shown = path_of(folder);
    while (shown.ends_with('/')) shown.pop_back();
    if (wanted) walk.run(*wanted, shown, max, found);
  }
  return found;
}

}  // namespace hearth::lsp
