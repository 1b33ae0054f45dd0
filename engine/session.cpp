// A sequence's life: synchronising with a new prompt, prefill in stages, decode, copies, drafts.
#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/engine.hpp"
#include "engine/forward.hpp"
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

// The latest checkpoint that a prompt sharing `shared` tokens can go on from; it needs logits when
// the prompt ends right there.
const Checkpoint* best_checkpoint(const State& state, std::size_t shared, std::size_t wanted) {
  const Checkpoint* best = nullptr;
  for (const Checkpoint& checkpoint : state.checkpoints) {
    const auto position = static_cast<std::size_t>(checkpoint.position);
    if (position > shared) break;
    if (position == wanted && checkpoint.logits.empty()) continue;
    best = &checkpoint;
  }
  return best;
}

// Adds, or replaces one at the same position; drops the least recently used beyond `limit`.
void add_checkpoint(State& state, Checkpoint checkpoint, std::size_t limit) {
  if (limit == 0) return;
  checkpoint.used = ++state.clock;
  auto& all = state.checkpoints;
  const auto at = std::ranges::lower_bound(all, checkpoint.position, {}, &Checkpoint::position);
  if (at != all.end() && at->position == checkpoint.position) {
    if (checkpoint.logits.empty()) checkpoint.logits = std::move(at->logits);
    *at = std::move(checkpoint);
    return;
  }
  all.insert(at, std::move(checkpoint));
  if (all.size() > limit) all.erase(std::ranges::min_element(all, {}, &Checkpoint::used));
}

}  // namespace

Session::Session(std::shared_ptr<const Engine> engine)
    : engine_(std::move(engine)), state_(empty_state(*engine_)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session Session::clone() const {
  kernels::Backend& backend = engine_->backend();
  Session copied(engine_);
  copied.tokens_ = tokens_;
  copied.logits_ = logits_;
  copied.computed_ = computed_;
  State& state = *copied.state_;
  for (std::size_t i = 0; i < state.kv.size(); ++i) {
    reserve(backend, state.kv[i], 0, position());
    const std::size_t bytes = kv_bytes(state.kv[i], position());
    if (bytes == 0) continue;
    backend.copy(state_->kv[i].keys, 0, state.kv[i].keys, 0, bytes);
    backend.copy(state_->kv[i].values, 0, state.kv[i].values, 0, bytes);
  }
  state.recurrent = copy(backend, state_->recurrent);
  state.hidden = state_->hidden;
  for (const Checkpoint& from : state_->checkpoints) {
    state.checkpoints.push_back(
        {from.position, copy(backend, from.recurrent), from.hidden, from.logits, from.used});
  }
  state.clock = state_->clock;
  return copied;
}

std::size_t Session::bytes() const {
  std::size_t total = state_->recurrent.bytes() + state_->spare.bytes();
  for (const kernels::KvCache& kv : state_->kv) total += kv.keys.bytes() + kv.values.bytes();
  for (const Checkpoint& checkpoint : state_->checkpoints) total += checkpoint.recurrent.bytes();
  if (!parked_) return total;
  for (const RecurrentState& state : parked_->states) total += state.bytes();
  return total + parked_->bytes();
}

std::size_t Session::common(std::span<const TokenId> tokens) const {
  const std::size_t shared = common_prefix(tokens_, tokens);
  if (shared == tokens_.size() && (shared < tokens.size() || !logits_.empty())) return shared;
  const Checkpoint* best = best_checkpoint(*state_, shared, tokens.size());
  return best == nullptr ? 0 : static_cast<std::size_t>(best->position);
}

std::size_t Session::sync(std::span<const TokenId> tokens) {
  const std::size_t kept = common(tokens);
  if (kept == tokens_.size()) return kept;

  kernels::Backend& backend = engine_->backend();
  parked_.reset();
  tokens_.resize(kept);
  if (kept == 0) {
    state_->recurrent = make_recurrent_state(backend, engine_->config());
    state_->hidden.clear();
    state_->checkpoints.clear();
    logits_.clear();
    return kept;
  }
  auto& checkpoints = state_->checkpoints;
  const auto at =
      std::ranges::find(checkpoints, static_cast<std::int64_t>(kept), &Checkpoint::position);
  at->used = ++state_->clock;
  state_->recurrent = copy(backend, at->recurrent);
  state_->hidden = at->hidden;
  logits_ = at->logits;
  checkpoints.erase(at + 1, checkpoints.end());
  return kept;
}

// The next rows of a prompt, up to a multiple of the delta rule's chunk or the prompt's end.
Chunk Session::next_chunk(std::span<const TokenId> tokens, std::span<const std::size_t> marks) {
  const EngineOptions& options = engine_->options();
  const std::int64_t step = engine_->chunk_rows();
  const auto begin = static_cast<std::size_t>(position());
  const std::size_t end = std::min(
      static_cast<std::size_t>(position() / delta_chunk * delta_chunk + step), tokens.size());

  std::vector<std::size_t> cuts;  // at the last marks: as many as checkpoints are kept
  for (const std::size_t mark : marks) {
    if (mark > begin && mark < end) cuts.push_back(mark - begin);
  }
  const std::size_t excess = cuts.size() - std::min(cuts.size(), options.checkpoints);
  cuts.erase(cuts.begin(), cuts.begin() + static_cast<std::ptrdiff_t>(excess));

  for (kernels::KvCache& kv : state_->kv) {
    reserve(engine_->backend(), kv, position(), static_cast<std::int64_t>(end));
  }
  const std::span<const TokenId> rows = tokens.subspan(begin, end - begin);
  return make_chunk(engine_->model(), engine_->config(), *state_, {rows.begin(), rows.end()},
                    position(), kernels::DeltaForm::chunked, std::move(cuts));
}

Progress Session::prefill(std::span<const TokenId> tokens, std::span<const std::size_t> marks,
                          const std::atomic<bool>* interrupt) {
  if (common_prefix(tokens_, tokens) != tokens_.size()) {
    throw Error("prefill must extend the session's tokens; call sync first");
  }
  const std::span<const TokenId> rest = tokens.subspan(tokens_.size());
  if (rest.empty()) return Progress::done;

  if (parked_ && common_prefix(parked_->tokens, rest) != parked_->rows()) parked_.reset();
  if (!parked_) parked_ = std::make_unique<Chunk>(next_chunk(tokens, marks));
  parked_->wants_logits = position() + static_cast<std::int64_t>(parked_->rows()) ==
                          static_cast<std::int64_t>(tokens.size());

  const Progress progress = advance(*parked_, interrupt);
  if (progress != Progress::done) return progress;
  parked_.reset();
  return tokens_.size() == tokens.size() ? Progress::done : Progress::more;
}

double Session::prefill_done() const {
  const double before = static_cast<double>(tokens_.size());
  if (!parked_) return before;
  const double share = static_cast<double>(parked_->stage) / stage_count(engine_->config());
  return before + share * static_cast<double>(parked_->rows());
}

Chunk SessionAccess::decode_chunk(Session& session, TokenId token) {
  const Engine& engine = *session.engine_;
  Chunk chunk = make_chunk(engine.model(), engine.config(), *session.state_, {token},
                           session.position(), kernels::DeltaForm::step, {});
  chunk.wants_logits = true;
  for (kernels::KvCache& kv : session.state_->kv)
    reserve(engine.backend(), kv, session.position(), session.position() + 1);
  return chunk;
}

Progress Session::decode(TokenId token, const std::atomic<bool>* interrupt) {
  Chunk chunk = SessionAccess::decode_chunk(*this, token);
  Progress progress = Progress::more;
  while (progress == Progress::more) progress = advance(chunk, interrupt);
  if (progress == Progress::done) {
    parked_.reset();
  } else {
    state_->spare = std::move(chunk.states.back());
  }
  return progress;
}

Progress Session::advance(Chunk& chunk, const std::atomic<bool>* interrupt) {
  const Config& config = engine_->config();
  if (!run_stage(engine_->model(), config, *state_, chunk, interrupt)) return Progress::interrupted;
  if (chunk.stage < stage_count(config)) return Progress::more;

  const std::int64_t before = position();
  tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
  computed_ += chunk.rows();
  logits_ = std::move(chunk.logits);
  const std::size_t limit = engine_->options().checkpoints;
  for (std::size_t i = 0; i + 1 < chunk.cuts.size(); ++i) {
    add_checkpoint(*state_,
                   {before + static_cast<std::int64_t>(chunk.cuts[i]),
                    std::move(chunk.states[i]),
                    std::move(chunk.cut_hidden[i]),
                    {},
                    0},
                   limit);
  }
  state_->spare = std::exchange(state_->recurrent, std::move(chunk.states.back()));
  state_->hidden = std::move(chunk.cut_hidden.back());
  // A prompt that comes again as it is starts to answer at once.
  const bool end_of_prompt = chunk.wants_logits && chunk.form == kernels::DeltaForm::chunked;
  if (end_of_prompt && limit > 0) {
    add_checkpoint(
        *state_,
        {position(), copy(engine_->backend(), state_->recurrent), state_->hidden, logits_, 0},
        limit);
  }
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
  chunk.wants_logits = true;
  for (kernels::KvCache& kv : session.state_->kv) {
    reserve(engine.backend(), kv, session.position(),
            session.position() + static_cast<std::int64_t>(tokens.size()));
  }
  while (session.advance(chunk, nullptr) == Progress::more) {
  }
}

}  // namespace hearth::engine
