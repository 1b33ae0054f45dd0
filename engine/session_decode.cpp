// Tokens behind a session's prompt: decode, what is taken back of it, and the MTP head's drafts.
#include <algorithm>
#include <new>
#include <numeric>
#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/state.hpp"
#include "engine/session_access.hpp"
#include "engine/session_parts.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

Chunk SessionAccess::decode_chunk(Session& session, std::span<const TokenId> tokens) {
  Runtime& runtime = *session.runtime_;
  const ModelConfig& config = runtime.engine().config();
  need_state(runtime, *session.state_);
  std::vector<std::size_t> checkpoint_rows(tokens.size() - 1);  // a state after each
  std::iota(checkpoint_rows.begin(), checkpoint_rows.end(), 1);
  Chunk chunk =
      make_chunk(runtime.executor(), config, *session.state_, {tokens.begin(), tokens.end()},
                 session.position(), kernels::DeltaForm::step, std::move(checkpoint_rows),
                 std::exchange(session.state_->rows, {}));
  chunk.at_once = true;
  chunk.logit_rows = tokens.size();
  chunk.top = session.wanted_top_;
  chunk.always = session.wanted_always_;
  const std::int64_t end = session.position() + static_cast<std::int64_t>(tokens.size());
  reserve(runtime.executor().homes, *session.state_, session.position(), end);
  return chunk;
}

Progress Session::decode(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt) {
  return run_decode(tokens, false, interrupt);
}

Progress Session::decode_on(TokenId token, const std::atomic<bool>* interrupt) {
  if (logits_.empty()) throw Error("decode_on goes on from a decode; call decode first");
  return run_decode(std::span(&token, 1), true, interrupt);
}

Progress Session::run_decode(std::span<const TokenId> tokens, bool joins,
                             const std::atomic<bool>* interrupt) try {
  if (tokens.empty()) throw Error("decode needs a token");
  require_current();
  Chunk chunk = SessionAccess::decode_chunk(*this, tokens);
  Progress progress = Progress::more;
  while (progress == Progress::more) progress = advance(chunk, interrupt, joins);
  state_->rows = std::move(chunk.memory);
  if (progress == Progress::done) {
    parked_.reset();
  } else {
    std::ranges::move(chunk.states, std::back_inserter(state_->spares));
  }
  return progress;
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return run_decode(tokens, joins, interrupt);
  throw out_of_memory("a token's computation");
}

void Session::want_logits(int top, std::vector<TokenId> always) {
  wanted_top_ = top;
  wanted_always_ = std::move(always);
}

void Session::keep_decoded(std::size_t count) {
  std::vector<State::Decoded>& decoded = state_->decoded;
  if (count == 0 || count > decoded.size() + 1) {
    throw Error("keep_decoded: the last decode had " + std::to_string(decoded.size() + 1) +
                " tokens");
  }
  state_->spares.reserve(state_->spares.size() + decoded.size());
  if (count <= decoded.size()) {
    State::Decoded& last = decoded[count - 1];
    std::swap(state_->recurrent, last.recurrent);
    state_->hidden = std::move(last.hidden);
    tokens_.resize(tokens_.size() - (decoded.size() + 1 - count));
    logits_.resize(count * vocab());
  }
  for (State::Decoded& each : decoded) state_->spares.push_back(std::move(each.recurrent));
  decoded.clear();
}

std::span<const float> Session::logits() const {
  return logits_.empty() ? std::span<const float>() : std::span(logits_).last(vocab());
}

std::span<const float> Session::decoded_logits(std::size_t index) const {
  return std::span(logits_).subspan(index * vocab(), vocab());
}

std::vector<TokenId> Session::draft(TokenId next, int count) try {
  const Model& model = engine().model();
  if (!model.mtp || state_->hidden.empty()) return {};
  // The head and its cache are the host's.
  reserve(runtime_->backend(), state_->kv.back(), position(), position() + count);
  std::vector<TokenId> drafted;
  std::vector<float> hidden = state_->hidden;
  TokenId last = next;
  for (int i = 0; i < count; ++i) {
    const MtpResult result =
        *run_mtp(model, runtime_->executor(), engine().config(), state_->kv.back(), hidden,
                 std::span(&last, 1), position() - 1 + i, 1, kernels::ProductForm::gemv, nullptr);
    last = static_cast<TokenId>(std::ranges::max_element(result.logits) - result.logits.begin());
    drafted.push_back(last);
    hidden = result.normed;
  }
  return drafted;
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return draft(next, count);
  throw out_of_memory("the MTP head's draft");
}

}  // namespace hearth::engine
