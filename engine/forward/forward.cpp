// The forward pass of both families: a chunk's rows through its stages, each with what may
// interrupt it; the layers' parts are mixers.cpp and experts.cpp.
#include "engine/forward/forward.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::KvCache;
using kernels::ProductForm;
using kernels::Slice;
using kernels::SplitSpec;

ProductForm product_form(kernels::DeltaForm form) {
  return form == kernels::DeltaForm::step ? ProductForm::gemv : ProductForm::gemm;
}

const Layer& layer_of(const Model& model, LayerId id) {
  return model.layers[static_cast<std::size_t>(id.value)];
}

// Whether the stage's output is one that golden tests compare; the last layer's is seen after the
// final norm.
bool is_tapped(Stage stage, const ModelConfig& config) {
  if (stage.part == Stage::Part::experts) return stage.layer.value + 1 < config.num_layers();
  return stage.part == Stage::Part::embedding;
}

bool move_rows(Executor& executor, const ModelConfig& config, Chunk& chunk, std::size_t device);
bool embed(const Block& block, const Model& model, const Chunk& chunk, Slice out,
           const std::atomic<bool>* interrupt);
bool mixer_half(const Block& whole, Executor& executor, const Layer& layer, State& state,
                Chunk& chunk, const std::atomic<bool>* interrupt);
bool head(const Block& block, const Model& model, Executor& executor, State& state, Chunk& chunk,
          Slice x, const std::atomic<bool>* interrupt);

bool compute_stage(const Model& model, Executor& executor, const ModelConfig& config, State& state,
                   Chunk& chunk, const std::atomic<bool>* interrupt) {
  using Part = Stage::Part;
  const Finish finish{executor.host()};
  const auto [part, id] = chunk.stage;
  const bool of_layer = part == Part::mixer || part == Part::experts;
  const std::size_t device = of_layer ? layer_of(model, id).device : 0;
  chunk.memory.resize(executor.devices.size());
  if (!move_rows(executor, config, chunk, device)) return false;
  const ComputeDevice& there = executor.devices[device];
  there.workspace->reset();
  const Block block{config,
                    *there.backend,
                    *there.workspace,
                    product_form(chunk.form),
                    static_cast<int>(chunk.rows()),
                    chunk.position,
                    device,
                    chunk.at_once};
  RowBuffers& rows = chunk.memory[device];
  const std::size_t values = chunk.rows() * block.hidden();
  const Slice x = kernels::slice(rows.hidden, 0, values);
  const Slice out = kernels::slice(rows.output, 0, values);

  switch (part) {
    case Part::embedding:
      if (!embed(block, model, chunk, out, interrupt)) return false;
      break;
    case Part::mixer:
      if (!mixer_half(block, executor, layer_of(model, id), state, chunk, interrupt)) return false;
      if (chunk.rows_done < chunk.rows()) return true;  // its next block of rows
      chunk.rows_done = 0;
      break;
    case Part::experts:
      if (!feed_forward(block, executor, layer_of(model, id), chunk.experts, chunk.memory, x, out,
                        interrupt, chunk.taps))
        return false;
      break;
    case Part::head:
      if (!head(block, model, executor, state, chunk, x, interrupt)) return false;
      break;
    case Part::done:
      throw Error("the chunk has been through all layers");
  }
  if (chunk.taps != nullptr && is_tapped(chunk.stage, config))
    chunk.taps->hidden.push_back(read(block.backend, out));
  if (part != Part::head) std::swap(rows.hidden, rows.output);
  chunk.stage = after(chunk.stage, config);
  return true;
}

}  // namespace

bool run_stage(const Model& model, Executor& executor, const ModelConfig& config, State& state,
               Chunk& chunk, const std::atomic<bool>* interrupt) try {
  const bool complete = compute_stage(model, executor, config, state, chunk, interrupt);
  if (!complete) executor.abandon();
  return complete;
} catch (...) {
  executor.abandon();
  throw;
}

// --- Stages --------------------------------------------------------------------------------------

Stage after(Stage stage, const ModelConfig& config) {
  using Part = Stage::Part;
  switch (stage.part) {
    case Part::embedding:
      return {config.num_layers() > 0 ? Part::mixer : Part::head, LayerId{0}};
    case Part::mixer:
      return {Part::experts, stage.layer};
    case Part::experts:
      if (stage.layer.value + 1 == config.num_layers()) return {Part::head};
      return {Part::mixer, LayerId{stage.layer.value + 1}};
    case Part::head:
    case Part::done:
      break;
  }
  return {Part::done};
}

int stages_before(Stage stage, const ModelConfig& config) {
  const int layers = 2 * config.num_layers();
  switch (stage.part) {
    case Stage::Part::embedding:
      return 0;
    case Stage::Part::mixer:
      return 1 + 2 * stage.layer.value;
    case Stage::Part::experts:
      return 2 + 2 * stage.layer.value;
    case Stage::Part::head:
      return 1 + layers;
    case Stage::Part::done:
      break;
  }
  return 2 + layers;
}

int stage_count(const ModelConfig& config) {
  return stages_before({Stage::Part::done}, config);
}

namespace {

// Of so many rows nearly all experts are wanted: nothing is read ahead for them.
constexpr std::size_t prefetch_rows = 64;

// Index of a layer among those of its kind.
std::size_t index_among(const ModelConfig& config, LayerId layer) {
  const auto index = static_cast<std::size_t>(layer.value);
  return static_cast<std::size_t>(
      std::count(config.layers.begin(), config.layers.begin() + static_cast<std::ptrdiff_t>(index),
                 config.layers[index]));
}

// Where the next block of a chunk's rows ends: at a multiple of mixer_rows of the sequence.
std::size_t block_end(const Chunk& chunk) {
  const std::size_t first = static_cast<std::size_t>(chunk.position) + chunk.rows_done;
  const std::size_t end = (first / mixer_rows + 1) * mixer_rows;
  return std::min(end - static_cast<std::size_t>(chunk.position), chunk.rows());
}

struct StateBuffers {
  const kernels::Buffer* delta;
  const kernels::Buffer* conv;
};

// The states between the rows [begin, end) of a chunk: in at its begin, out at every checkpoint and
// at its end. Where a block ends between checkpoints, the two states between take turns.
std::vector<RowSpan> spans_of(Backend& backend, const State& state, Chunk& chunk, std::size_t index,
                              std::size_t begin, std::size_t end) {
  const auto of_layer = [&](const RecurrentState& some) {
    return StateBuffers{&some.delta[index], &some.conv[index]};
  };
  const auto first = std::ranges::lower_bound(chunk.checkpoint_rows, begin);
  const auto at_checkpoint = [&](auto place) {
    return of_layer(chunk.states[static_cast<std::size_t>(place - chunk.checkpoint_rows.begin())]);
  };
  StateBuffers before = of_layer(state.recurrent);
  if (begin > 0) {
    const RecurrentState& between = chunk.states_between[chunk.between];
    before =
        *first == begin ? at_checkpoint(first) : StateBuffers{&between.delta[0], &between.conv[0]};
  }
  std::vector<RowSpan> spans;
  for (auto place = begin > 0 && *first == begin ? first + 1 : first; begin < end; ++place) {
    StateBuffers after{};
    const std::size_t stop = std::min(*place, end);
    if (*place <= end) {
      after = at_checkpoint(place);
    } else {
      RecurrentState& between = chunk.states_between[1 - chunk.between];
      if (between.conv.empty() || between.conv[0].device() != backend.device()) {
        between = {};
        between.delta.push_back(backend.allocate(before.delta->bytes()));
        between.conv.push_back(backend.allocate(before.conv->bytes()));
      }
      after = {&between.delta[0], &between.conv[0]};
    }
    spans.push_back({begin, stop, before.delta, before.conv, after.delta, after.conv});
    before = after;
    begin = stop;
  }
  return spans;
}

// out = x + mixer(norm(x)) for the chunk's next block of rows, the mixer being the layer's
// attention. False: interrupted.
bool mixer_half(const Block& whole, Executor& executor, const Layer& layer, State& state,
                Chunk& chunk, const std::atomic<bool>* interrupt) {
  const std::size_t begin = chunk.rows_done;
  const std::size_t end = block_end(chunk);
  Block block = whole;
  block.rows = static_cast<int>(end - begin);
  block.position = chunk.position + static_cast<std::int64_t>(begin);
  const std::size_t width = block.hidden();
  const RowBuffers& rows = chunk.memory[whole.device];
  const Slice x = kernels::slice(rows.hidden).sub(begin * width, (end - begin) * width);
  const Slice out = kernels::slice(rows.output).sub(begin * width, (end - begin) * width);
  const std::size_t index = index_among(block.config, layer.id);

  block.backend.begin(interrupt);
  if (chunk.form == kernels::DeltaForm::step && chunk.rows() < prefetch_rows && !layer.is_dense() &&
      executor.experts->prefetch_pays()) {
    // The experts' router, applied before its time, is right about most of them. For a layer on a
    // device that is one more wait, which a read from the disk in time is worth.
    const Routing predicted =
        route(block, layer.moe.gate, block.norm(x, layer.post_attention_layernorm));
    if (!block.backend.finish()) return false;
    std::vector<ExpertId> experts;
    experts.reserve(predicted.experts.size());
    for (const std::int32_t expert : predicted.experts) experts.push_back(ExpertId{expert});
    executor.experts->prefetch(layer.id, experts);
    block.backend.begin(interrupt);
  }
  const Slice normed = block.norm(x, layer.input_layernorm);
  Slice mixed;
  bool between = false;
  if (layer.kind == LayerKind::full_attention) {
    mixed = full_attention(block, layer.full, state.kv[index], normed);
  } else {
    std::vector<RowSpan> spans = spans_of(block.backend, state, chunk, index, begin, end);
    between = !std::ranges::binary_search(chunk.checkpoint_rows, end);
    for (RowSpan& span : spans) {
      span.begin -= begin;
      span.end -= begin;
    }
    mixed = linear_attention(block, layer.linear, spans, chunk.form, normed);
  }
  block.backend.add(x, mixed, out);
  if (!block.settle()) return false;
  if (between) chunk.between = 1 - chunk.between;
  chunk.rows_done = end;
  return true;
}

// The rows go to where the next stage is computed. False: interrupted.
bool move_rows(Executor& executor, const ModelConfig& config, Chunk& chunk, std::size_t device) {
  if (chunk.device == device) return true;
  const std::size_t values = chunk.rows() * static_cast<std::size_t>(config.hidden_size);
  const auto hidden_on = [&](std::size_t some) {
    return kernels::slice(chunk.memory[some].hidden, 0, values);
  };
  if (chunk.device != 0) {
    Backend& from = *executor.devices[chunk.device].backend;
    from.transfer(hidden_on(chunk.device), hidden_on(0));
    if (!from.finish()) return false;
    chunk.device = 0;
  }
  if (device == 0) return true;
  for (kernels::Buffer* const each : {&chunk.memory[device].hidden, &chunk.memory[device].output})
    executor.provide(device, *each, values * sizeof(float));
  executor.devices[device].backend->transfer(hidden_on(0), hidden_on(device));
  chunk.device = device;
  return true;
}

// out = the tokens' embeddings. False: interrupted.
bool embed(const Block& block, const Model& model, const Chunk& chunk, Slice out,
           const std::atomic<bool>* interrupt) {
  block.backend.begin(interrupt);
  block.backend.embed(model.embed_tokens, chunk.tokens, out);
  return block.backend.finish();
}

// The logits of normed rows that chunk.top asks for, from the shortlist; minus infinity for the
// others.
std::vector<float> shortlist_logits(const Block& block, const Model& model, const Chunk& chunk,
                                    Slice rows, std::size_t count) {
  std::vector<kernels::Candidates> found(count);
  block.backend.shortlist_top(model.shortlist, model.lm_head, rows, static_cast<int>(count),
                              chunk.top, chunk.always, found);
  const auto vocab = static_cast<std::size_t>(block.config.vocab_size);
  std::vector<float> logits(count * vocab, -std::numeric_limits<float>::infinity());
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < found[row].ids.size(); ++i) {
      logits[row * vocab + static_cast<std::size_t>(found[row].ids[i])] = found[row].scores[i];
    }
  }
  return logits;
}

// Final norm, the states' hidden rows, logits where wanted. False: interrupted.
bool head(const Block& block, const Model& model, Executor& executor, State& state, Chunk& chunk,
          Slice x, const std::atomic<bool>* interrupt) {
  Backend& backend = block.backend;
  backend.begin(interrupt);
  const std::size_t hidden = block.hidden();
  const Slice normed = block.norm(x, model.norm);
  const std::size_t logit_rows = chunk.taps != nullptr ? chunk.rows() : chunk.logit_rows;
  const bool shortlisted = model.shortlist && chunk.top > 0 && chunk.taps == nullptr;
  Slice scores;
  std::vector<float> logits;
  if (logit_rows > 0 && shortlisted) {
    const Slice last = normed.sub((chunk.rows() - logit_rows) * hidden, logit_rows * hidden);
    logits = shortlist_logits(block, model, chunk, last, logit_rows);
  } else if (logit_rows > 0) {
    scores = block.space.take(logit_rows * static_cast<std::size_t>(block.config.vocab_size));
    const Slice last = normed.sub((chunk.rows() - logit_rows) * hidden, logit_rows * hidden);
    backend.matmul(model.lm_head, last, scores, static_cast<int>(logit_rows), ProductForm::gemv);
  }
  if (!backend.finish()) return false;
  const std::vector<float> rows = read(backend, normed);
  if (!shortlisted) logits = read(backend, scores);

  // The MTP head's KV follows one position behind: row p needs the token at p+1.
  const bool first = state.hidden.empty();
  const std::span<const TokenId> next = std::span(chunk.tokens).subspan(first ? 1 : 0);
  if (model.mtp && !next.empty()) {
    std::vector<float> before = state.hidden;
    before.insert(before.end(), rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(hidden));
    if (!run_mtp(model, executor, block.config, state.kv.back(), before, next,
                 chunk.position - (first ? 0 : 1), 0, block.form, interrupt)) {
      return false;
    }
  }

  chunk.checkpoint_hidden.clear();  // there may not have been memory for the rest
  for (const std::size_t row_count : chunk.checkpoint_rows) {
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>((row_count - 1) * hidden);
    chunk.checkpoint_hidden.emplace_back(row, row + static_cast<std::ptrdiff_t>(hidden));
  }
  const auto wanted = static_cast<std::ptrdiff_t>(chunk.logit_rows) *
                      static_cast<std::ptrdiff_t>(block.config.vocab_size);
  chunk.logits.assign(logits.end() - wanted, logits.end());
  if (chunk.taps != nullptr) {
    chunk.taps->logits = std::move(logits);
    chunk.taps->hidden.push_back(rows);
  }
  return true;
}

}  // namespace

// --- Chunks --------------------------------------------------------------------------------------

Chunk make_chunk(Executor& executor, const ModelConfig& config, State& state,
                 std::vector<TokenId> tokens, std::int64_t position, kernels::DeltaForm form,
                 std::vector<std::size_t> checkpoint_rows, ChunkMemory memory) {
  Chunk chunk;
  chunk.tokens = std::move(tokens);
  chunk.position = position;
  chunk.form = form;
  chunk.checkpoint_rows = std::move(checkpoint_rows);
  if (chunk.checkpoint_rows.empty() || chunk.checkpoint_rows.back() != chunk.rows())
    chunk.checkpoint_rows.push_back(chunk.rows());
  while (chunk.states.size() < chunk.checkpoint_rows.size())
    chunk.states.push_back(take_spare(state, executor.homes, config));
  const std::size_t bytes =
      chunk.rows() * static_cast<std::size_t>(config.hidden_size) * sizeof(float);
  chunk.memory = std::move(memory);
  chunk.memory.resize(executor.devices.size());
  for (kernels::Buffer* const each : {&chunk.memory[0].hidden, &chunk.memory[0].output})
    executor.provide_for_copies(*each, bytes);
  return chunk;
}

void move_chunk(Executor& executor, const ModelConfig& config, Chunk& chunk) {
  for (RecurrentState& state : chunk.states) executor.move(state);
  if (chunk.memory.empty()) return;  // it is through all layers
  executor.devices[chunk.device].backend->begin(nullptr);
  move_rows(executor, config, chunk, 0);
  chunk.memory.resize(1);
  chunk.rows_done = 0;
  chunk.between = 0;
  chunk.states_between = {};
  chunk.experts = {};
}

std::size_t Chunk::bytes() const {
  std::size_t total = 0;
  for (const RowBuffers& rows : memory) total += rows.bytes();
  for (const RecurrentState& state : states_between) total += state.bytes();
  return total;
}

std::size_t chunk_bytes_per_row(const ModelConfig& config) {
  const auto hidden = static_cast<std::size_t>(config.hidden_size);
  const auto k = static_cast<std::size_t>(config.num_experts_per_tok);
  // hidden, output, normed and shared; the experts' outputs; the MTP head's and the checkpoints'
  // host copy
  return (4 + k + 2) * hidden * sizeof(float);
}

std::size_t scratch_bytes(const ModelConfig& config) {
  constexpr std::size_t of_backend = std::size_t{16} << 20;  // attention's sums, staging
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  const std::size_t hidden = size(config.hidden_size);
  const std::size_t queries = size(config.num_attention_heads) * size(config.head_dim);
  const std::size_t keys = size(config.linear_num_key_heads) * size(config.linear_key_head_dim);
  const std::size_t values =
      size(config.linear_num_value_heads) * size(config.linear_value_head_dim);
  // Queries with their gates, apart and mixed, keys and values; or the inputs joined and apart, the
  // convolution's output, the values; the hidden states before and after.
  const std::size_t mixer =
      mixer_rows * (std::max(7 * queries, 6 * keys + 6 * values) + 2 * hidden);
  const std::size_t experts = expert_rows * 2 * (hidden + size(config.moe_intermediate_size));
  return std::max(mixer, experts) * sizeof(float) + of_backend;
}

}  // namespace hearth::engine
