// A user's own wordings of actions: prompts/NAME.md beside the configuration, NAME being an
// action's id. Files are read when an action is chosen, so that a change needs no restart. Which
// variables there are is lsp/context/wording.hpp's.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Immutable; for any thread.
class PromptFiles {
 public:
  static constexpr std::size_t max_bytes = std::size_t{64} << 10;

  // The directory need not exist.
  explicit PromptFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Empty where there is no file. Throws Error with the path and what is wrong.
  std::optional<lsp::Wording> read(const std::string& action) const;
  // What is wrong with the files that are there, a sentence each: one that cannot be read, a
  // variable that does not exist, a name that is no action's.
  std::vector<std::string> faults() const;

 private:
  std::filesystem::path directory_;
};

}  // namespace hearth::daemon
