// Writing a text that is given, with the drafts that an answer's decoding makes or without: every
// row is computed and the drafts that are right are those that agree with the text.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::engine {

struct CopyRun {
  // Draft tokens of one pass that were verified, and how many of them were right.
  struct Pass {
    std::size_t drafted = 0;
    std::size_t accepted = 0;
  };
  DecodeCounts counts;
  std::vector<Pass> passes;
  std::size_t agreed = 0;  // tokens that the model would have written, too
  double seconds = 0;      // of the passes, without the prompt
};

// Goes to the end of `prompt` and writes `text` behind it. Drafts come from prompt and text, as
// many at a time as pay on this engine. Ends early when *interrupt becomes true.
CopyRun teacher_forced_run(Session& session, std::span<const TokenId> prompt,
                           std::span<const TokenId> text, bool speculate,
                           const std::atomic<bool>* interrupt);

}  // namespace hearth::engine
