// What session.cpp and session_decode.cpp share of a session's inside.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/state.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/prefix/positions.hpp"

namespace hearth::engine {

// Where clear() left none.
inline void need_state(Runtime& runtime, State& state) {
  const ModelConfig& config = runtime.engine().config();
  const bool some = std::ranges::count(config.layers, LayerKind::linear_attention) > 0;
  if (some && state.recurrent.conv.empty())
    state.recurrent = make_recurrent_state(runtime.executor().homes, config);
}

// A chunk on its way, then, when it is part of the session, what is still to be kept of it.
struct Session::Prefill {
  // Takes as many of the positions as the budget allows.
  Prefill(PrefixCache& cache, std::vector<CheckpointPosition> wanted, const PositionRange& range)
      : prefixes(cache),
        positions(std::move(wanted)),
        reserved(cache.reserve_states(positions.size())) {
    limit_positions(positions, reserved, range);
  }
  Prefill(const Prefill&) = delete;
  Prefill& operator=(const Prefill&) = delete;
  ~Prefill() { prefixes.release_states(reserved); }

  // One more checkpoint, where the chunk and by now the session end, these tokens, if it is due.
  void keep_end(std::span<const TokenId> tokens);
  // The next checkpoint, of a session that this is part of by now. False: interrupted.
  bool keep_next(Session& session, const std::atomic<bool>* interrupt);

  PrefixCache& prefixes;
  std::vector<CheckpointPosition> positions;
  std::size_t reserved;  // states of the chunk that count as the cache's memory
  Chunk chunk;
  double seconds = 0;  // of computation so far
  bool computed = false;
  std::size_t kept = 0;                         // of the positions
  std::optional<PrefixCache::Checkpoint> next;  // being kept
};

}  // namespace hearth::engine
