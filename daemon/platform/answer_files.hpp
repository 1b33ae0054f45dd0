// The files that answers are shown in where a client has no other way: private, in the state
// directory, under names that no earlier answer had, removed some time after they were written.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace hearth::daemon {

class AnswerFiles {
 public:
  // `directory`, whose parent is private, is made when the first answer is written; empty: nothing
  // can be written. Files older than `kept` are removed by
  // expire(); 0: never.
  AnswerFiles(std::filesystem::path directory, std::chrono::milliseconds kept);

  // Writes (0600) whole or not at all and returns the file's path. The first time that this process
  // writes `name`, a file of that name is left alone and another name is taken. Throws Error with
  // the reason and leaves what was there.
  std::filesystem::path write(std::string_view name, std::string_view text);
  void keep_for(std::chrono::milliseconds kept) { kept_ = kept; }
  // The day on which a file written now expires, "2026-12-06"; empty: never.
  std::string kept_until() const;
  // How many files it removed. What cannot be removed is left; throws nothing.
  std::size_t expire() const;

 private:
  std::filesystem::path directory_;
  std::chrono::milliseconds kept_;
  std::map<std::string, std::string, std::less<>> written_;  // by this process: their names
};

}  // namespace hearth::daemon
