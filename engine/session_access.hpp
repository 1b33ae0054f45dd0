// What golden tests and benchmarks may see of a session: its state, and single stages of a chunk.
#pragma once

#include <atomic>
#include <span>

#include "engine/engine.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/state.hpp"

namespace hearth::engine {

struct SessionAccess {
  static State& state(Session& session) { return *session.state_; }
  // The chunk that decodes these, and one stage of a chunk that follows the session's tokens.
  static Chunk decode_chunk(Session& session, std::span<const TokenId> tokens);
  static Progress advance(Session& session, Chunk& chunk, const std::atomic<bool>* interrupt) {
    return session.advance(chunk, interrupt);
  }
  // One chunk through all layers, in one of the delta rule's forms, with taps.
  static void run(Session& session, std::span<const TokenId> tokens, kernels::DeltaForm form,
                  Taps& taps);
};

}  // namespace hearth::engine
