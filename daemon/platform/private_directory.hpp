// A directory that only its user can enter, held open. What is in it is reached through it, never
// through a link, and never where the directory's name leads later. Knows modes, not contents.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

// Names are those of files directly in it. What goes wrong is an Error with the path and the
// reason.
class PrivateDirectory {
 public:
  // Makes it (0700) where it is missing, and takes other people's rights from it where it is ours.
  // Throws Error when it is a link, no directory, or someone else's.
  explicit PrivateDirectory(const std::filesystem::path& path);
  // The same of a directory in it.
  PrivateDirectory below(const std::string& name) const;

  const std::filesystem::path& path() const { return path_; }

  // A regular file of this user with no second name; O_CREAT makes it with the mode 0600.
  Fd open(const std::string& name, int flags) const;
  // The whole file; an Error also beyond `limit` bytes.
  std::string read(const std::string& name, std::size_t limit) const;
  // Whole or not at all. A link of that name is replaced, not followed.
  void write(const std::string& name, std::string_view text) const;
  bool rename(const std::string& from, const std::string& to) const;  // false: errno says why
  bool remove(const std::string& name) const;                         // of a file

 private:
  PrivateDirectory(std::filesystem::path path, int at, const char* name);

  std::filesystem::path path_;
  Fd fd_;
};

}  // namespace hearth::daemon
