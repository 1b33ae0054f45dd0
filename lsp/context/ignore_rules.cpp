// Ignore rules by libgit2.
#include "lsp/context/ignore_rules.hpp"

#include <git2.h>
#include <git2/sys/repository.h>

#include <algorithm>
#include <filesystem>

#include "lsp/context/libgit2.hpp"

namespace hearth::lsp {
namespace {

struct Free {
  void operator()(git_repository* repository) const { git_repository_free(repository); }
};
struct FreeIndex {
  void operator()(git_index* index) const { git_index_free(index); }
};
using RepositoryPtr = std::unique_ptr<git_repository, Free>;

RepositoryPtr repository_around(const std::string& folder) {
  git_repository* found = nullptr;
  if (git_repository_open_ext(&found, folder.c_str(), 0, nullptr) != 0) return nullptr;
  RepositoryPtr repository(found);
  if (git_repository_is_bare(found) != 0) return nullptr;
  return repository;
}

// One that only has a folder of files.
RepositoryPtr plain_folder(const std::string& folder) {
  git_repository* made = nullptr;
  if (git_repository_new(&made) != 0) return nullptr;
  RepositoryPtr repository(made);
  if (git_repository_set_workdir(made, folder.c_str(), 0) != 0) return nullptr;
  return repository;
}

bool is_git(std::string_view name) {
  return std::ranges::equal(name, std::string_view(".git"), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace

struct IgnoreRules::Repository {
  RepositoryPtr handle;  // null: nothing is known
  std::string prefix;    // of the folder in it: "", or "lib/"

  bool ignores(std::string path, bool is_directory) const;
};

// Its own answer about one path, whatever the folders above it are.
bool IgnoreRules::Repository::ignores(std::string path, bool is_directory) const {
  if (!handle || is_git(std::string_view(path).substr(path.rfind('/') + 1))) return true;
  if (is_directory) path += '/';
  int ignored = 0;
  const int error = git_ignore_path_is_ignored(&ignored, handle.get(), path.c_str());
  return error != 0 || ignored != 0;
}

IgnoreRules::IgnoreRules(const std::string& folder) : repository_(std::make_unique<Repository>()) {
  start_libgit2();
  RepositoryPtr& handle = repository_->handle;
  handle = repository_around(folder);
  if (handle) {
    std::error_code error;
    const auto top = std::filesystem::canonical(git_repository_workdir(handle.get()), error);
    const std::string below = error ? ".." : std::filesystem::path(folder).lexically_relative(top);
    if (below.starts_with("..")) handle.reset();
    if (below != ".") repository_->prefix = below + "/";
  }
  if (!handle) {
    repository_->prefix.clear();
    handle = plain_folder(folder);
  }
}

IgnoreRules::~IgnoreRules() = default;

bool IgnoreRules::ignores(std::string_view path, bool is_directory) const {
  const std::string whole = repository_->prefix + std::string(path);
  for (std::size_t end = whole.find('/'); end != whole.npos; end = whole.find('/', end + 1)) {
    if (repository_->ignores(whole.substr(0, end), true)) return true;
  }
  return repository_->ignores(whole, is_directory);
}

bool IgnoreRules::tracks(std::string_view path) const {
  git_index* found = nullptr;
  if (!repository_->handle || git_repository_index(&found, repository_->handle.get()) != 0)
    return false;
  const std::unique_ptr<git_index, FreeIndex> index(found);
  const std::string whole = repository_->prefix + std::string(path);
  return git_index_get_bypath(index.get(), whole.c_str(), 0) != nullptr;
}

bool IgnoreRules::ignores_entry(std::string_view path, bool is_directory) const {
  return repository_->ignores(repository_->prefix + std::string(path), is_directory);
}

}  // namespace hearth::lsp
