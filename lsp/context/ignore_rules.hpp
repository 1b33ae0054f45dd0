// Which files of a folder its owner keeps out of version control: .gitignore files, of the folder
// and of all below and above it in its repository, .git/info/exclude and the user's own list, as
// git reads them. Files, not names of secrets: those are source_path.hpp's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace hearth::lsp {

// Reads the disk. One thread at a time.
class IgnoreRules {
 public:
  // `folder` is an absolute path without symbolic links. One that is in no repository, or in a
  // broken one, still has its .gitignore files.
  explicit IgnoreRules(const std::string& folder);
  ~IgnoreRules();
  IgnoreRules(const IgnoreRules&) = delete;
  IgnoreRules& operator=(const IgnoreRules&) = delete;

  // As git does, except that libgit2 forgets a negation (!a) with nothing to negate in its own
  // file: then more is ignored, never less.
  //
  // `path` is relative to the folder: "src/a.c". What is in an ignored folder is ignored, whatever
  // else is said of it; and so is .git. Where rules cannot be read, everything is ignored.
  bool ignores(std::string_view path, bool is_directory) const;
  // Whether a file is in the repository's index: then git's rules say nothing of it.
  bool tracks(std::string_view path) const;
  // The same as ignores() where the folder that `path` is in is known not to be ignored.
  bool ignores_entry(std::string_view path, bool is_directory) const;

 private:
  struct Repository;
  std::unique_ptr<Repository> repository_;
};

}  // namespace hearth::lsp
