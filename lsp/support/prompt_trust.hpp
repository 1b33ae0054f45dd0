// Which prompts of repositories a person has confirmed, remembered somewhere that outlives the
// process. lsp knows only this interface; lsp/actions/team_prompts.hpp says what is confirmed.
#pragma once

#include <string>

namespace hearth::lsp {

// Thread-safe.
class PromptTrust {
 public:
  virtual ~PromptTrust() = default;
  // The hash that was confirmed last for this folder, a path without links; empty: none.
  virtual std::string confirmed(const std::string& folder) const = 0;
  // Instead of what was confirmed before; an empty hash: nothing is any more. Throws a
  // std::exception with the reason, and changes nothing, where it cannot be written down.
  virtual void confirm(const std::string& folder, const std::string& hash) = 0;
};

}  // namespace hearth::lsp
