// A directory that appears whole or not at all. Knows nothing of its content.
#pragma once

#include <filesystem>
#include <vector>

namespace hearth::engine {

// OUT.partial while it lives, with the parents that were missing; publish() makes it OUT. Without
// that it vanishes, and so do the parents that it made where nothing else has come into them.
class PartialDirectory {
 public:
  // Throws Error where OUT.partial exists or a directory cannot be made.
  explicit PartialDirectory(const std::filesystem::path& out);
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;
  ~PartialDirectory();

  const std::filesystem::path& path() const { return path_; }
  void publish();

 private:
  void make_parents();
  void remove_parents();

  std::filesystem::path out_;
  std::filesystem::path path_;
  std::vector<std::filesystem::path> parents_;  // made here, the outermost first
  bool published_ = false;
};

}  // namespace hearth::engine
