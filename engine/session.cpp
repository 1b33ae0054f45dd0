// A sequence's life: synchronising with a new prompt, prefill and replay in stages, what is kept.
#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/state.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/prefix/positions.hpp"
#include "engine/session_access.hpp"
#include "engine/session_parts.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

constexpr std::int64_t delta_chunk = 64;  // chunks of the delta rule begin at its multiples
// Rows that a replay computes at once: each expert is read once for all of them.
constexpr std::size_t replay_rows = 256;

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [end, ignored] = std::mismatch(
      a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<std::size_t>(end - a.begin());
}

std::unique_ptr<State> empty_state(Runtime& runtime) {
  const Engine& engine = runtime.engine();
  auto state = std::make_unique<State>();
  const ModelConfig& config = engine.config();
  const auto attention_layers = static_cast<std::size_t>(
      std::count(config.layers.begin(), config.layers.end(), LayerKind::full_attention));
  state->kv.resize(attention_layers + (engine.model().mtp ? 1 : 0));
  for (kernels::KvCache& kv : state->kv) {
    kv.type = engine.options().kv == KvType::f16 ? kernels::DType::f16 : kernels::DType::f32;
    kv.heads = config.num_key_value_heads;
    kv.head_dim = config.head_dim;
  }
  state->recurrent = make_recurrent_state(runtime.executor().homes, config);
  return state;
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The checkpoint of a sequence's beginning, whose KV the caches hold.
PrefixCache::Checkpoint checkpoint_of(Runtime& runtime, std::span<const kernels::KvCache> caches,
                                      std::span<const TokenId> tokens, CheckpointKind kind,
                                      StateSnapshot state, std::vector<float> hidden,
                                      std::vector<float> logits, std::uint64_t differences,
                                      std::size_t decoded_from = 0) {
  const StateHomes& homes = runtime.executor().homes;
  const PrefixLayout& layout = runtime.prefixes().layout();
  return {tokens,
          kind,
          std::move(state),
          std::move(hidden),
          std::move(logits),
          differences,
          [&homes, &layout, caches](std::int64_t begin, std::int64_t end,
                                    const std::atomic<bool>* interrupt) {
            return save_kv(homes, layout, caches, begin, end, interrupt);
          },
          static_cast<std::int64_t>(decoded_from)};
}

}  // namespace

Session::Session(std::shared_ptr<Runtime> runtime)
    : runtime_(std::move(runtime)), draft_length_(engine().options().drafts) {
  begin();
  runtime_->sessions_.push_back(this);
}

// The runtime knows it in the place of another, or, with null, no more.
void Session::enlist(Session* other) {
  std::vector<Session*>& all = runtime_->sessions_;
  if (other == nullptr)
    std::erase(all, this);
  else
    std::ranges::replace(all, other, this);
}

void Session::begin() try {
  runtime_->sessions_.reserve(runtime_->sessions_.size() + 1);  // to be listed without a failure
  runtime_->recover();
  state_ = empty_state(*runtime_);
  differences_ = runtime_->prefixes().differences();
  lost_ = false;
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return begin();
  throw out_of_memory("a session's state");
}
Session::Session(Session&& other) noexcept : draft_length_(other.draft_length_) {
  *this = std::move(other);
}
Session& Session::operator=(Session&& other) noexcept {
  if (this == &other) return *this;
  parked_.reset();  // before the runtime that it reserved memory of
  if (runtime_) enlist(nullptr);
  runtime_ = std::move(other.runtime_);
  if (runtime_) enlist(&other);
  tokens_ = std::move(other.tokens_);
  logits_ = std::move(other.logits_);
  wanted_top_ = other.wanted_top_;
  wanted_always_ = std::move(other.wanted_always_);
  shortlisted_ = other.shortlisted_;
  computed_ = other.computed_;
  synced_ = other.synced_;
  decoded_from_ = other.decoded_from_;
  differences_ = other.differences_;
  lost_ = other.lost_;
  draft_length_ = other.draft_length_;
  state_ = std::move(other.state_);
  parked_ = std::move(other.parked_);
  return *this;
}
Session::~Session() {
  if (runtime_) enlist(nullptr);
}

void Session::follow_layers() noexcept try {
  if (lost_) return;
  Executor& executor = runtime_->executor();
  executor.move(*state_);
  if (parked_) move_chunk(executor, engine().config(), parked_->chunk);
} catch (const std::exception&) {
  lose_state();  // the device has failed, or there is no memory for it
}

void Session::lose_state() noexcept {
  parked_.reset();
  for (kernels::KvCache& kv : state_->kv) {
    kv.keys = {};
    kv.values = {};
    kv.capacity = 0;
  }
  state_->recurrent = {};
  state_->spares.clear();
  state_->decoded.clear();
  state_->rows.clear();
  lost_ = true;
}

std::size_t Session::bytes() const {
  std::size_t total = state_->recurrent.bytes();
  for (const RecurrentState& spare : state_->spares) total += spare.bytes();
  for (const State::Decoded& decoded : state_->decoded) total += decoded.recurrent.bytes();
  for (const RowBuffers& rows : state_->rows) total += rows.bytes();
  for (const kernels::KvCache& kv : state_->kv) total += kv.keys.bytes() + kv.values.bytes();
  if (!parked_ || parked_->computed) return total;
  // The other states of a chunk are counted with the checkpoints.
  const Chunk& chunk = parked_->chunk;
  return total + chunk.states.back().bytes() + chunk.bytes();
}

// Whether the weights have turned out not to be what they were.
bool Session::outdated() const {
  return differences_ != runtime_->prefixes().differences();
}

// Nor has a device taken with it what was computed.
void Session::require_current() {
  runtime_->recover();
  if (lost_) {
    throw LostState(
        "what this session had computed was on a device that has failed; a request that begins "
        "again is computed without it");
  }
  if (outdated()) throw Error(runtime_->executor().digests->last_difference());
}

// Whether the session can go on to `tokens` from where it is.
bool Session::continues(std::span<const TokenId> tokens) const {
  return common_prefix(tokens_, tokens) == tokens_.size() &&
         (tokens_.size() < tokens.size() || (!logits_.empty() && !shortlisted_));
}

// Whether it has the bits of a prompt of so many tokens and an answer that is decoded behind it.
bool Session::has_bits_of(std::size_t prompt) const {
  return tokens_.size() <= prompt || decoded_from_ == prompt;
}

std::size_t Session::common(std::span<const TokenId> tokens) const {
  const bool goes_on = !lost_ && !outdated() && continues(tokens);
  return std::max(goes_on ? tokens_.size() : 0, runtime_->prefixes().find(tokens));
}

std::size_t Session::sync(std::span<const TokenId> tokens) {
  return *sync(tokens, nullptr);
}

std::optional<std::size_t> Session::sync(std::span<const TokenId> tokens,
                                         const std::atomic<bool>* interrupt) {
  return sync(tokens, tokens.size(), interrupt);
}

std::optional<std::size_t> Session::sync(std::span<const TokenId> tokens, std::size_t prompt,
                                         const std::atomic<bool>* interrupt) try {
  runtime_->check_files();
  runtime_->recover();
  if (lost_ || outdated()) clear();
  // While the KV that they need is there.
  while (parked_ && parked_->computed)
    if (!keep_next(interrupt)) return std::nullopt;
  // What was a replay may be part of a prompt now, and what was a prompt part of an answer.
  if (parked_ && (parked_->chunk.form == kernels::DeltaForm::step ||
                  tokens_.size() + parked_->chunk.rows() > prompt))
    parked_.reset();
  // An answer's bits are those of one run: its checkpoint and this session's rows are not mixed.
  const bool answered = prompt < tokens.size();
  if (answered && !(continues(tokens) && has_bits_of(prompt) &&
                    runtime_->prefixes().find(tokens, prompt) <= tokens_.size()))
    clear();

  const std::size_t shared = common_prefix(tokens_, tokens);
  const bool goes_on = continues(tokens);
  if (parked_ && (!goes_on || common_prefix(parked_->chunk.tokens, tokens.subspan(shared)) !=
                                  parked_->chunk.rows())) {
    parked_.reset();
  }
  const std::size_t done = goes_on ? static_cast<std::size_t>(prefill_done()) : 0;

  // Rows past the shared prefix may be overwritten before the restore is known to succeed, so keep
  // the old state until then.
  const StateHomes& homes = runtime_->executor().homes;
  RecurrentState state;
  const auto destination = [&](const PrefixCache::Restored& found) {
    parked_.reset();
    if (state.delta.empty()) state = take_spare(*state_, homes, engine().config());
    reserve(homes, *state_, static_cast<std::int64_t>(shared), found.position);
    StateRestore restore(homes);
    for (const PrefixCache::Restored::KvSpan& span : found.spans)
      restore.kv(runtime_->prefixes().layout(), span.kv, span.begin, span.from, span.to,
                 state_->kv);
    restore.state(found.state, state);
    return restore;
  };
  std::optional<PrefixCache::Restored> from;
  try {
    from = runtime_->prefixes().take(tokens, done, shared, destination, interrupt, prompt);
  } catch (...) {
    if (!goes_on) clear();  // some of its rows may be gone
    throw;
  }
  if (!from || from->position == 0) {
    if (!goes_on) clear();
    if (!state.delta.empty()) retire(std::move(state));
    if (!from) return std::nullopt;
    if (!logits_.empty() || !goes_on) synced_ = tokens_.size();  // else the same prompt goes on
    return tokens_.size();
  }
  try {
    tokens_.reserve(static_cast<std::size_t>(from->position));
    state_->spares.reserve(state_->spares.size() + 1);
  } catch (...) {
    if (!goes_on) clear();
    throw;
  }
  state_->decoded.clear();  // what could be taken back is gone
  state_->hidden = std::move(from->hidden);
  retire(std::exchange(state_->recurrent, std::move(state)));
  logits_ = std::move(from->logits);
  shortlisted_ = false;
  decoded_from_ = static_cast<std::size_t>(from->decoded_from);
  tokens_.assign(tokens.begin(), tokens.begin() + from->position);
  return synced_ = tokens_.size();
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return sync(tokens, prompt, interrupt);
  throw out_of_memory("the kept state of a prompt's beginning");
}

// Back to no tokens at all.
void Session::clear() {
  parked_.reset();
  tokens_.clear();
  logits_.clear();
  state_->hidden.clear();
  state_->decoded.clear();
  state_->recurrent = {};  // see need_state: nothing here needs memory
  lost_ = false;
  synced_ = 0;
  decoded_from_ = 0;
  differences_ = runtime_->prefixes().differences();
}

// Leaves a state's memory to the next ones.
void Session::retire(RecurrentState state) {
  if (!state.conv.empty() && state_->spares.size() <= engine().options().drafts)
    state_->spares.push_back(std::move(state));
}

void Session::keep() try {
  if (tokens_.empty() || lost_ || outdated()) return;
  // Logits of the shortlist alone are no use to a prompt that ends here.
  std::vector<float> last;
  if (!shortlisted_) last.assign(logits().begin(), logits().end());
  const std::size_t decoded_from = tokens_.size() > decoded_from_ ? decoded_from_ : 0;
  runtime_->prefixes().add(checkpoint_of(*runtime_, state_->kv, tokens_, CheckpointKind::end,
                                         copy_state(runtime_->executor().homes, state_->recurrent),
                                         state_->hidden, std::move(last), differences_,
                                         decoded_from));
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();  // whoever goes on hears of it
} catch (const std::bad_alloc&) {
  // It is computed again when it is wanted.
}

bool Session::keep_answer(const std::atomic<bool>* interrupt) try {
  if (decoded_from_ == 0 || tokens_.size() <= decoded_from_ || lost_ || outdated()) return true;
  return runtime_->prefixes().add_answer(
      checkpoint_of(*runtime_, state_->kv, tokens_, CheckpointKind::answer,
                    copy_state(runtime_->executor().homes, state_->recurrent), state_->hidden, {},
                    differences_, decoded_from_),
      interrupt);
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();  // whoever goes on hears of it
  return true;
} catch (const std::bad_alloc&) {
  return true;  // it is computed again when it is wanted
}

// The next rows of a prompt, up to a multiple of the delta rule's chunk or the prompt's end.
std::unique_ptr<Session::Prefill> Session::next_chunk(std::span<const TokenId> tokens,
                                                      std::span<const std::size_t> boundaries) {
  const EngineOptions& options = engine().options();
  PrefixCache& prefixes = runtime_->prefixes();
  const std::int64_t step = engine().chunk_rows();
  const auto begin = static_cast<std::size_t>(position());
  const std::size_t end = std::min(
      static_cast<std::size_t>(position() / delta_chunk * delta_chunk + step), tokens.size());

  const auto distance = static_cast<std::size_t>(
      round_up(std::max<std::int64_t>(options.checkpoint_distance, 1), delta_chunk));
  const std::size_t known =
      prefixes.find(tokens.first(tokens.size() - std::min(before_end_min, tokens.size())));
  const PositionRange range{synced_, begin, end, tokens.size()};
  auto next = std::make_unique<Prefill>(
      prefixes, wanted_positions(range, boundaries, distance, known), range);
  std::vector<std::size_t> inside;
  for (const CheckpointPosition& each : next->positions) {
    if (each.position < end) inside.push_back(each.position - begin);
  }
  reserve(runtime_->executor().homes, *state_, position(), static_cast<std::int64_t>(end));
  const std::span<const TokenId> rows = tokens.subspan(begin, end - begin);
  next->chunk =
      make_chunk(runtime_->executor(), engine().config(), *state_, {rows.begin(), rows.end()},
                 position(), kernels::DeltaForm::chunked, std::move(inside));
  return next;
}

Progress Session::prefill(std::span<const TokenId> tokens, std::span<const std::size_t> boundaries,
                          const std::atomic<bool>* interrupt, bool durable) try {
  if (common_prefix(tokens_, tokens) != tokens_.size()) {
    throw Error("prefill must extend the session's tokens; call sync first");
  }
  require_current();
  const std::span<const TokenId> rest = tokens.subspan(tokens_.size());
  const auto more = [&] {
    if (parked_ || durable || tokens_.size() < tokens.size()) return Progress::more;
    decoded_from_ = tokens_.size();
    return Progress::done;
  };
  if (parked_ && parked_->computed) return keep_next(interrupt) ? more() : Progress::interrupted;
  if (!parked_ && durable && !secure(interrupt)) return Progress::interrupted;
  if (rest.empty()) {
    decoded_from_ = tokens_.size();
    return Progress::done;
  }

  if (parked_ && common_prefix(parked_->chunk.tokens, rest) != parked_->chunk.rows())
    parked_.reset();
  need_state(*runtime_, *state_);
  if (!parked_) parked_ = next_chunk(tokens, boundaries);
  Chunk& chunk = parked_->chunk;
  chunk.logit_rows = chunk.rows() == rest.size() ? 1 : 0;

  const auto started = std::chrono::steady_clock::now();
  const Progress progress = advance(chunk, interrupt);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started;
  parked_->seconds += spent.count();
  if (progress != Progress::done) return progress;
  runtime_->prefixes().measured(chunk.rows(), parked_->seconds);
  parked_->computed = true;
  Chunk left;  // what the chunk was computed in goes
  left.states = std::move(chunk.states);
  left.checkpoint_hidden = std::move(chunk.checkpoint_hidden);
  chunk = std::move(left);
  if (durable) parked_->keep_end(tokens_);
  if (parked_->positions.empty()) parked_.reset();
  return more();
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return prefill(tokens, boundaries, interrupt, durable);
  throw out_of_memory("reading a prompt of " + std::to_string(tokens.size()) + " tokens");
}

// What is computed so far is on disk where that is worth it. False: interrupted.
bool Session::secure(const std::atomic<bool>* interrupt) try {
  return outdated() || runtime_->prefixes().secure(tokens_, interrupt);
} catch (const std::bad_alloc&) {
  return true;  // it is computed again when it is wanted
}

// Keeps one checkpoint of a chunk that is part of the session by now; after the last one the chunk
// is forgotten. False: interrupted.
bool Session::keep_next(const std::atomic<bool>* interrupt) {
  if (is_set(interrupt)) return false;
  Prefill& done = *parked_;
  try {
    if (!done.keep_next(*this, interrupt)) return false;
  } catch (const std::bad_alloc&) {
    // Without it: what it holds is computed again when it is wanted.
  }
  done.next.reset();
  if (++done.kept < done.positions.size()) return true;
  try {
    runtime_->prefixes().persist(tokens_, tokens_.size() - synced_);
  } catch (const std::bad_alloc&) {
  }
  parked_.reset();
  return true;
}

void Session::Prefill::keep_end(std::span<const TokenId> tokens) try {
  const std::size_t end = tokens.size();
  if (!positions.empty() && positions.back().position == end) return;
  if (!prefixes.prompt_due(tokens)) return;
  positions.reserve(positions.size() + 1);
  if (prefixes.reserve_states(1) == 0) return;
  ++reserved;
  positions.push_back({end, CheckpointKind::regular});
} catch (const std::bad_alloc&) {
  // Without it: what the chunk holds is computed again when it is wanted.
}

bool Session::Prefill::keep_next(Session& session, const std::atomic<bool>* interrupt) {
  if (!next) {
    State& state = *session.state_;
    const auto [at, kind] = positions[kept];
    const bool inside = at < session.tokens_.size();
    const StateHomes& homes = session.runtime_->executor().homes;
    next = checkpoint_of(*session.runtime_, state.kv, std::span(session.tokens_).first(at), kind,
                         inside ? save_state(homes, std::move(chunk.states[kept]))
                                : copy_state(homes, state.recurrent),
                         inside ? std::move(chunk.checkpoint_hidden[kept]) : state.hidden,
                         inside ? std::vector<float>() : session.logits_, session.differences_);
    prefixes.release_states(1);  // from here on it counts as what it becomes
    --reserved;
  }
  return prefixes.add(*next, interrupt);
}

double Session::prefill_done() const {
  const double before = static_cast<double>(tokens_.size());
  if (!parked_ || parked_->computed) return before;
  const Chunk& chunk = parked_->chunk;
  const ModelConfig& config = engine().config();
  const double share =
      static_cast<double>(stages_before(chunk.stage, config)) / stage_count(config);
  return before + share * static_cast<double>(chunk.rows());
}

// The next rows of an answer: those of a decode, without logits and with one state for all.
std::unique_ptr<Session::Prefill> Session::replay_chunk(std::span<const TokenId> tokens) {
  const auto begin = static_cast<std::size_t>(position());
  const std::size_t end = std::min(begin + replay_rows, tokens.size());
  auto next = std::make_unique<Prefill>(runtime_->prefixes(), std::vector<CheckpointPosition>(),
                                        PositionRange{synced_, begin, end, tokens.size()});
  reserve(runtime_->executor().homes, *state_, position(), static_cast<std::int64_t>(end));
  const std::span<const TokenId> rows = tokens.subspan(begin, end - begin);
  next->chunk = make_chunk(runtime_->executor(), engine().config(), *state_,
                           {rows.begin(), rows.end()}, position(), kernels::DeltaForm::step, {});
  return next;
}

Progress Session::replay(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt) try {
  if (common_prefix(tokens_, tokens) != tokens_.size())
    throw Error("replay must extend the session's tokens; call sync first");
  require_current();
  if (tokens_.size() == tokens.size()) return Progress::done;
  need_state(*runtime_, *state_);
  if (!parked_) parked_ = replay_chunk(tokens);
  const Progress progress = advance(parked_->chunk, interrupt);
  if (progress != Progress::done) return progress;
  parked_.reset();
  return tokens_.size() == tokens.size() ? Progress::done : Progress::more;
} catch (const kernels::LostDevice&) {
  runtime_->lose_devices();
  throw;
} catch (const std::bad_alloc& failed) {
  if (runtime_->make_room(failed)) return replay(tokens, interrupt);
  throw out_of_memory("the computation of what was written before");
}

Progress Session::advance(Chunk& chunk, const std::atomic<bool>* interrupt, bool joins) {
  const ModelConfig& config = engine().config();
  std::vector<State::Decoded>& decoded = state_->decoded;
  // What needs memory comes before the last stage: afterwards all of it takes place or none.
  if (const std::size_t all = tokens_.size() + chunk.rows(); all > tokens_.capacity())
    tokens_.reserve(std::max(all, 2 * tokens_.size()));
  state_->spares.reserve(state_->spares.size() + decoded.size() + 1);
  decoded.reserve(decoded.size() + chunk.checkpoint_rows.size());
  if (const std::size_t all = (decoded.size() + 1 + chunk.rows()) * vocab();
      joins && all > logits_.capacity())
    logits_.reserve(std::max(all, 2 * logits_.capacity()));
  if (!run_stage(engine().model(), runtime_->executor(), config, *state_, chunk, interrupt))
    return Progress::interrupted;
  if (chunk.stage.part != Stage::Part::done) return Progress::more;
  require_current();  // the experts of this chunk, too: from here on it is the session's

  tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
  computed_ += chunk.rows();
  shortlisted_ = chunk.top > 0 && engine().has_shortlist();
  const bool steps = chunk.form == kernels::DeltaForm::step;
  if (!steps) decoded_from_ = tokens_.size();
  RecurrentState before = std::exchange(state_->recurrent, std::move(chunk.states.back()));
  if (joins) {
    // Those of tokens that can no longer be taken back go.
    const auto kept = static_cast<std::ptrdiff_t>((decoded.size() + 1) * vocab());
    logits_.erase(logits_.begin(), logits_.end() - kept);
    logits_.insert(logits_.end(), chunk.logits.begin(), chunk.logits.end());
    decoded.push_back({std::move(before), std::move(state_->hidden)});
  } else {
    logits_ = std::move(chunk.logits);
    for (State::Decoded& each : decoded) state_->spares.push_back(std::move(each.recurrent));
    decoded.clear();
    retire(std::move(before));
  }
  for (std::size_t i = 0; steps && i + 1 < chunk.states.size(); ++i) {
    decoded.push_back({std::move(chunk.states[i]), std::move(chunk.checkpoint_hidden[i])});
  }
  state_->hidden = std::move(chunk.checkpoint_hidden.back());
  return Progress::done;
}

void SessionAccess::run(Session& session, std::span<const TokenId> tokens, kernels::DeltaForm form,
                        Taps& taps) {
  Runtime& runtime = *session.runtime_;
  const ModelConfig& config = runtime.engine().config();
  need_state(runtime, *session.state_);
  Chunk chunk = make_chunk(runtime.executor(), config, *session.state_,
                           {tokens.begin(), tokens.end()}, session.position(), form, {});
  chunk.taps = &taps;
  chunk.logit_rows = 1;
  reserve(runtime.executor().homes, *session.state_, session.position(),
          session.position() + static_cast<std::int64_t>(tokens.size()));
  while (session.advance(chunk, nullptr) == Progress::more) {
  }
}

}  // namespace hearth::engine
