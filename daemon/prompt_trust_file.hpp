// Which prompts of repositories a person has confirmed, as a private file of JSON in the state
// directory: an object of hashes by folder. What is confirmed is lsp/actions/team_prompts.hpp's.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "engine/support/mutex.hpp"
#include "lsp/support/prompt_trust.hpp"

namespace hearth::daemon {

class PromptTrustFile : public lsp::PromptTrust {
 public:
  // An empty path: nothing outlives the process. Of a file that cannot be read nothing counts,
  // which is said to `warn`; the next confirmation replaces it.
  explicit PromptTrustFile(std::filesystem::path file,
                           const std::function<void(const std::string&)>& warn = {});

  std::string confirmed(const std::string& folder) const override;
  // Throws Error with the path and the reason.
  void confirm(const std::string& folder, const std::string& hash) override;
  // Of how many folders something is confirmed that `chosen` is true of.
  std::size_t count(const std::function<bool(const std::string& folder)>& chosen) const;
  // Takes it back. Throws Error as confirm() does.
  void forget(const std::function<bool(const std::string& folder)>& chosen);

 private:
  using Hashes = std::map<std::string, std::string>;  // by folder
  void write(const Hashes& hashes) const;

  const std::filesystem::path file_;
  mutable engine::Mutex mutex_;
  Hashes hashes_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth::daemon
