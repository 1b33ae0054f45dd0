// A sequence's life: synchronising with a new prompt, prefill in stages, decode, drafts.
#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/engine.hpp"
#include "engine/forward.hpp"
#include "engine/prefix_cache.hpp"
#include "engine/state.hpp"

namespace hearth::engine {

namespace {

constexpr std::int64_t delta_chunk = 64;  // chunks of the delta rule begin at its multiples

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [end, ignored] = std::mismatch(
      a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<std::size_t>(end - a.begin());
}

std::unique_ptr<State> empty_state(const Engine& engine) {
  auto state = std::make_unique<State>();
  const Config& config = engine.config();
  const auto attention_layers = static_cast<std::size_t>(
      std::count(config.layers.begin(), config.layers.end(), LayerKind::full_attention));
  state->kv.resize(attention_layers + (engine.model().mtp ? 1 : 0));
  for (kernels::KvCache& kv : state->kv) {
    kv.type = engine.options().kv == KvType::f16 ? kernels::DType::f16 : kernels::DType::f32;
    kv.heads = config.num_key_value_heads;
    kv.head_dim = config.head_dim;
  }
  state->recurrent = make_recurrent_state(engine.backend(), config);
  return state;
}

struct Cut {
  std::size_t position = 0;  // tokens of the sequence
  CheckpointKind kind = CheckpointKind::regular;
};

// How close to a prompt's end a state is wanted: behind it typing changes tokens, and from it few
// are computed again.
constexpr std::size_t before_end = 16;
constexpr std::size_t before_end_least = 12;
constexpr std::size_t before_end_most = 24;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

bool in_window(std::size_t position, std::size_t total) {
  return position + before_end_most >= total && position + before_end_least <= total;
}

// Where in (begin, end] of a prompt of `total` tokens states are wanted, by rising position.
// `known`: a checkpoint that the prompt's last tokens can go back to.
std::vector<Cut> wanted_cuts(std::size_t begin, std::size_t end, std::size_t total,
                             std::span<const std::size_t> marks, std::size_t distance,
                             std::size_t known) {
  std::vector<Cut> cuts;
  bool near_end = in_window(known, total);
  const auto want = [&](std::size_t position, CheckpointKind kind) {
    const bool taken =
        std::ranges::any_of(cuts, [&](const Cut& cut) { return cut.position == position; });
    if (position >= total || taken) return;
    near_end = near_end || in_window(position, total);
    if (position > begin && position <= end) cuts.push_back({position, kind});
  };
  for (const std::size_t mark : marks) want(mark, CheckpointKind::mark);
  for (std::size_t at = distance; at <= end; at += distance) want(at, CheckpointKind::regular);
  if (total > before_end && !near_end) want(total - before_end, CheckpointKind::before_end);
  if (end == total) cuts.push_back({total, CheckpointKind::end});
  std::ranges::sort(cuts, {}, &Cut::position);
  return cuts;
}

// Drops all but the `most` best: the end and what is near it, marks, then the last ones.
void limit_cuts(std::vector<Cut>& cuts, std::size_t most) {
  const auto rank = [](const Cut& cut) {
    const bool regular = cut.kind == CheckpointKind::regular;
    const bool mark = cut.kind == CheckpointKind::mark;
    return std::pair(regular ? 2 : (mark ? 1 : 0),
                     std::numeric_limits<std::size_t>::max() - cut.position);
  };
  std::ranges::sort(cuts, {}, rank);
  cuts.resize(std::min(cuts.size(), most));
  std::ranges::sort(cuts, {}, &Cut::position);
}

}  // namespace

// A chunk on its way, and what is kept of it.
struct Session::Prefill {
  // Takes as many of the cuts as the budget allows.
  Prefill(PrefixCache& cache, std::vector<Cut> wanted)
      : prefixes(cache), cuts(std::move(wanted)), reserved(cache.reserve_states(cuts.size())) {
    limit_cuts(cuts, reserved);
  }
  Prefill(const Prefill&) = delete;
  Prefill& operator=(const Prefill&) = delete;
  ~Prefill() { prefixes.release_states(reserved); }

  PrefixCache& prefixes;
  std::vector<Cut> cuts;
  std::size_t reserved;  // states of the chunk that count as the cache's memory
  Chunk chunk;
  double seconds = 0;  // of computation so far
};

Session::Session(std::shared_ptr<const Engine> engine)
    : engine_(std::move(engine)),
      draft_length_(engine_->options().drafts),
      state_(empty_state(*engine_)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&& other) noexcept {
  parked_.reset();  // before the engine that it reserved memory of
  engine_ = std::move(other.engine_);
  tokens_ = std::move(other.tokens_);
  logits_ = std::move(other.logits_);
  wanted_top_ = other.wanted_top_;
  wanted_always_ = std::move(other.wanted_always_);
  screened_ = other.screened_;
  computed_ = other.computed_;
  synced_ = other.synced_;
  draft_length_ = other.draft_length_;
  state_ = std::move(other.state_);
  parked_ = std::move(other.parked_);
  return *this;
}
Session::~Session() = default;

std::size_t Session::bytes() const {
  std::size_t total = state_->recurrent.bytes();
  for (const RecurrentState& spare : state_->spares) total += spare.bytes();
  for (const State::Decoded& decoded : state_->decoded) total += decoded.recurrent.bytes();
  for (const kernels::KvCache& kv : state_->kv) total += kv.keys.bytes() + kv.values.bytes();
  if (!parked_) return total;
  // The other states of a chunk are counted with the checkpoints.
  const Chunk& chunk = parked_->chunk;
  return total + chunk.states.back().bytes() + chunk.bytes();
}

// Whether the session can go on to `tokens` from where it is.
bool Session::continues(std::span<const TokenId> tokens) const {
  return common_prefix(tokens_, tokens) == tokens_.size() &&
         (tokens_.size() < tokens.size() || (!logits_.empty() && !screened_));
}

std::size_t Session::common(std::span<const TokenId> tokens) const {
  return std::max(continues(tokens) ? tokens_.size() : 0, engine_->prefixes().find(tokens));
}

std::size_t Session::sync(std::span<const TokenId> tokens) {
  const std::size_t shared = common_prefix(tokens_, tokens);
  const bool goes_on = continues(tokens);
  if (parked_ && (!goes_on || common_prefix(parked_->chunk.tokens, tokens.subspan(shared)) !=
                                  parked_->chunk.rows())) {
    parked_.reset();
  }
  const std::size_t done = goes_on ? static_cast<std::size_t>(prefill_done()) : 0;
  std::optional<PrefixCache::Restored> from = engine_->prefixes().take(tokens, done, shared);
  if (!from && goes_on) {
    if (!logits_.empty()) synced_ = tokens_.size();  // else the same prompt's prefill goes on
    return tokens_.size();
  }

  kernels::Backend& backend = engine_->backend();
  parked_.reset();
  logits_.clear();
  state_->decoded.clear();  // what could be taken back is gone
  if (!from) {
    tokens_.clear();
    state_->hidden.clear();
    state_->recurrent = make_recurrent_state(backend, engine_->config());
    return synced_ = 0;
  }
  for (kernels::KvCache& kv : state_->kv)
    reserve(backend, kv, static_cast<std::int64_t>(shared), from->position);
  const PrefixLayout& layout = engine_->prefixes().layout();
  Thaw thaw(backend);
  for (const PrefixCache::Restored::Stretch& stretch : from->stretches)
    thaw.kv(layout, stretch.kv, stretch.begin, stretch.from, stretch.to, state_->kv);
  thaw.state(from->state, state_->recurrent);
  thaw.run();
  state_->hidden = std::move(from->hidden);
  logits_ = std::move(from->logits);
  screened_ = false;
  tokens_.assign(tokens.begin(), tokens.begin() + from->position);
  return synced_ = tokens_.size();
}

void Session::keep() {
  if (tokens_.empty()) return;
  // Logits that were screened are no use to a prompt that ends here.
  std::vector<float> last;
  if (!screened_) last.assign(logits().begin(), logits().end());
  add_checkpoint(tokens_.size(), CheckpointKind::end, copy(engine_->backend(), state_->recurrent),
                 state_->hidden, std::move(last));
}

void Session::add_checkpoint(std::size_t position, CheckpointKind kind, RecurrentState state,
                             std::vector<float> hidden, std::vector<float> logits) {
  kernels::Backend& backend = engine_->backend();
  PrefixCache& prefixes = engine_->prefixes();
  prefixes.add({std::span(tokens_).first(position), kind, freeze_state(backend, std::move(state)),
                std::move(hidden), std::move(logits), [&](std::int64_t begin, std::int64_t end) {
                  return freeze_kv(backend, prefixes.layout(), state_->kv, begin, end);
                }});
}

// The next rows of a prompt, up to a multiple of the delta rule's chunk or the prompt's end.
std::unique_ptr<Session::Prefill> Session::next_chunk(std::span<const TokenId> tokens,
                                                      std::span<const std::size_t> marks) {
  const EngineOptions& options = engine_->options();
  PrefixCache& prefixes = engine_->prefixes();
  const std::int64_t step = engine_->chunk_rows();
  const auto begin = static_cast<std::size_t>(position());
  const std::size_t end = std::min(
      static_cast<std::size_t>(position() / delta_chunk * delta_chunk + step), tokens.size());

  const auto distance = static_cast<std::size_t>(
      round_up(std::max<std::int64_t>(options.checkpoint_distance, 1), delta_chunk));
  const std::size_t known =
      prefixes.find(tokens.first(tokens.size() - std::min(before_end_least, tokens.size())));
  auto next = std::make_unique<Prefill>(
      prefixes, wanted_cuts(begin, end, tokens.size(), marks, distance, known));
  std::vector<std::size_t> inside;
  for (const Cut& cut : next->cuts) {
    if (cut.position < end) inside.push_back(cut.position - begin);
  }
  for (kernels::KvCache& kv : state_->kv) {
    reserve(engine_->backend(), kv, position(), static_cast<std::int64_t>(end));
  }
  const std::span<const TokenId> rows = tokens.subspan(begin, end - begin);
  next->chunk = make_chunk(engine_->model(), engine_->config(), *state_, {rows.begin(), rows.end()},
                           position(), kernels::DeltaForm::chunked, std::move(inside));
  return next;
}

Progress Session::prefill(std::span<const TokenId> tokens, std::span<const std::size_t> marks,
                          const std::atomic<bool>* interrupt) {
  if (common_prefix(tokens_, tokens) != tokens_.size()) {
    throw Error("prefill must extend the session's tokens; call sync first");
  }
  const std::span<const TokenId> rest = tokens.subspan(tokens_.size());
  if (rest.empty()) return Progress::done;

  if (parked_ && common_prefix(parked_->chunk.tokens, rest) != parked_->chunk.rows())
    parked_.reset();
  if (!parked_) parked_ = next_chunk(tokens, marks);
  Chunk& chunk = parked_->chunk;
  chunk.logit_rows = chunk.rows() == rest.size() ? 1 : 0;

  const auto started = std::chrono::steady_clock::now();
  const Progress progress = advance(chunk, interrupt);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started;
  parked_->seconds += spent.count();
  if (progress != Progress::done) return progress;
  keep_checkpoints(*std::exchange(parked_, nullptr));
  return tokens_.size() == tokens.size() ? Progress::done : Progress::more;
}

// Of a chunk that is now part of the session.
void Session::keep_checkpoints(Prefill& done) {
  Chunk& chunk = done.chunk;
  PrefixCache& prefixes = engine_->prefixes();
  prefixes.measured(chunk.rows(), done.seconds);
  for (std::size_t i = 0; i < done.cuts.size(); ++i) {
    const auto [at, kind] = done.cuts[i];
    prefixes.release_states(1);  // from here on it counts as what it becomes
    --done.reserved;
    if (at < tokens_.size()) {
      add_checkpoint(at, kind, std::move(chunk.states[i]), std::move(chunk.cut_hidden[i]), {});
    } else {
      add_checkpoint(at, kind, copy(engine_->backend(), state_->recurrent), state_->hidden,
                     logits_);
    }
  }
  if (!done.cuts.empty()) prefixes.persist(tokens_, tokens_.size() - synced_);
}

double Session::prefill_done() const {
  const double before = static_cast<double>(tokens_.size());
  if (!parked_) return before;
  const Chunk& chunk = parked_->chunk;
  const double share = static_cast<double>(chunk.stage) / stage_count(engine_->config());
  return before + share * static_cast<double>(chunk.rows());
}

Chunk SessionAccess::decode_chunk(Session& session, std::span<const TokenId> tokens) {
  const Engine& engine = *session.engine_;
  std::vector<std::size_t> cuts(tokens.size() - 1);  // a state after each
  std::iota(cuts.begin(), cuts.end(), 1);
  Chunk chunk =
      make_chunk(engine.model(), engine.config(), *session.state_, {tokens.begin(), tokens.end()},
                 session.position(), kernels::DeltaForm::step, std::move(cuts));
  chunk.logit_rows = tokens.size();
  chunk.top = session.wanted_top_;
  chunk.always = session.wanted_always_;
  const std::int64_t end = session.position() + static_cast<std::int64_t>(tokens.size());
  for (kernels::KvCache& kv : session.state_->kv)
    reserve(engine.backend(), kv, session.position(), end);
  return chunk;
}

Progress Session::decode(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt) {
  if (tokens.empty()) throw Error("decode needs a token");
  Chunk chunk = SessionAccess::decode_chunk(*this, tokens);
  Progress progress = Progress::more;
  while (progress == Progress::more) progress = advance(chunk, interrupt);
  if (progress == Progress::done) {
    parked_.reset();
  } else {
    std::ranges::move(chunk.states, std::back_inserter(state_->spares));
  }
  return progress;
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

Progress Session::advance(Chunk& chunk, const std::atomic<bool>* interrupt) {
  const Config& config = engine_->config();
  if (!run_stage(engine_->model(), config, *state_, chunk, interrupt)) return Progress::interrupted;
  if (chunk.stage < stage_count(config)) return Progress::more;

  tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
  computed_ += chunk.rows();
  logits_ = std::move(chunk.logits);
  screened_ = chunk.top > 0 && engine_->screened();
  const bool decoded = chunk.form == kernels::DeltaForm::step;
  for (State::Decoded& each : state_->decoded) state_->spares.push_back(std::move(each.recurrent));
  state_->decoded.clear();
  for (std::size_t i = 0; decoded && i + 1 < chunk.states.size(); ++i) {
    state_->decoded.push_back({std::move(chunk.states[i]), std::move(chunk.cut_hidden[i])});
  }
  state_->spares.push_back(std::exchange(state_->recurrent, std::move(chunk.states.back())));
  state_->hidden = std::move(chunk.cut_hidden.back());
  const std::size_t most = engine_->options().drafts + 1;
  if (state_->spares.size() > most) state_->spares.resize(most);
  return Progress::done;
}

std::vector<TokenId> Session::draft(TokenId next, int count) {
  const Model& model = engine_->model();
  if (!model.mtp || state_->hidden.empty()) return {};
  reserve(engine_->backend(), state_->kv.back(), position(), position() + count);
  std::vector<TokenId> drafted;
  std::vector<float> hidden = state_->hidden;
  for (int i = 0; i < count; ++i) {
    const MtpResult result =
        *run_mtp(model, engine_->config(), state_->kv.back(), hidden, std::span(&next, 1),
                 position() - 1 + i, 1, kernels::ProductForm::canonical, nullptr);
    next = static_cast<TokenId>(std::ranges::max_element(result.logits) - result.logits.begin());
    drafted.push_back(next);
    hidden = result.normed;
  }
  return drafted;
}

void SessionAccess::run(Session& session, std::span<const TokenId> tokens, kernels::DeltaForm form,
                        Taps& taps) {
  const Engine& engine = *session.engine_;
  Chunk chunk = make_chunk(engine.model(), engine.config(), *session.state_,
                           {tokens.begin(), tokens.end()}, session.position(), form, {});
  chunk.taps = &taps;
  chunk.logit_rows = 1;
  for (kernels::KvCache& kv : session.state_->kv) {
    reserve(engine.backend(), kv, session.position(),
            session.position() + static_cast<std::int64_t>(tokens.size()));
  }
  while (session.advance(chunk, nullptr) == Progress::more) {
  }
}

}  // namespace hearth::engine
