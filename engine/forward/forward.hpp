// The forward pass: rows of tokens through every layer, in stages that can be told apart. What a
// stage writes becomes part of the chunk only when the whole stage ran to its end.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/forward/executor.hpp"
#include "engine/forward/model.hpp"
#include "engine/forward/state.hpp"
#include "engine/support/types.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// What golden tests compare: filled as the stages pass, one entry per layer.
struct Taps {
  std::vector<std::vector<float>> hidden;  // [layers+1]: embeddings, layers' outputs; the last
                                           // after the final norm; each [rows][hidden]
  std::vector<std::vector<std::int32_t>> router;  // [layers]: [rows][k]
  std::vector<float> logits;                      // [rows][vocab]
};

// Which experts the rows go to.
struct Routing {
  std::vector<std::int32_t> experts;  // [T][k] by falling weight
  std::vector<float> weights;         // [T][k]
};

// A layer's experts, or its one MLP, over some rows, as far as they have got.
struct ExpertWork {
  bool routed = false;  // the rest is valid
  bool shared_done = false;
  Routing routing;
  std::vector<bool> done;  // [experts]

  std::size_t rows_done = 0;  // of a dense layer, which has nothing else of this
};

// A stage of a chunk's way: the embedding, of each layer its mixer and then its experts (or what a
// dense layer has instead), the head.
struct Stage {
  enum class Part : std::uint8_t { embedding, mixer, experts, head, done };
  Part part = Part::embedding;
  LayerId layer{};  // of a mixer or of experts
};
Stage after(Stage stage, const ModelConfig& config);
// How many stages come before this one; before Part::done, all of them.
int stages_before(Stage stage, const ModelConfig& config);
int stage_count(const ModelConfig& config);

// Rows on their way through the layers.
struct Chunk {
  std::vector<TokenId> tokens;  // the rows
  std::int64_t position = 0;    // of the first row
  kernels::DeltaForm form = kernels::DeltaForm::chunked;
  // After how many rows a recurrent state is kept; rising, the last is tokens.size().
  std::vector<std::size_t> checkpoint_rows;
  std::vector<RecurrentState> states;  // one per checkpoint
  std::size_t logit_rows = 0;          // of the last rows, how many
  int top = 0;  // only the so many largest logits are needed, and those of `always`; 0: all
  std::span<const TokenId> always;
  Taps* taps = nullptr;  // all rows' logits too

  // Nobody else computes before it is done or given up, nor takes it up once interrupted: then
  // stages need not wait for a device before the host wants what it computes.
  bool at_once = false;

  Stage stage;             // the next
  ChunkMemory memory;      // by device
  std::size_t device = 0;  // whose `hidden` the next stage reads

  // How far the stage is; an interruption loses a block of rows or a group of experts.
  std::size_t rows_done = 0;  // of a layer's mixer
  // After rows_done where that is no checkpoint, of that one layer: which of the two, and what it
  // is.
  std::size_t between = 0;
  std::array<RecurrentState, 2> states_between;
  ExpertWork experts;

  // Out of the last stage.
  std::vector<std::vector<float>>
      checkpoint_hidden;      // one per checkpoint: [hidden] after the final norm
  std::vector<float> logits;  // [logit_rows][vocab]

  std::size_t rows() const { return tokens.size(); }
  std::size_t bytes() const;  // of memory, without the states
};

// Memory that a row of a chunk takes while it is under way.
std::size_t chunk_bytes_per_row(const ModelConfig& config);
// What a device takes beside that to compute layers, about.
std::size_t scratch_bytes(const ModelConfig& config);
// checkpoint_rows: after how many of the tokens a state is kept, besides the end. Takes from
// state.spares. `memory` may be what an earlier chunk was computed in.
Chunk make_chunk(Executor& executor, const ModelConfig& config, State& state,
                 std::vector<TokenId> tokens, std::int64_t position, kernels::DeltaForm form,
                 std::vector<std::size_t> checkpoint_rows, ChunkMemory memory = {});

// The rows, and the states behind them, go to the host and to where executor.homes says, for the
// layers are elsewhere from now on. What the chunk's stage had done so far is computed again.
void move_chunk(Executor& executor, const ModelConfig& config, Chunk& chunk);

// Runs a part of chunk.stage, or all that is left of it, and moves on. Not once it is done. `state`
// is that before the chunk: its recurrent part is read, its KV is written behind the chunk's
// position. False: interrupted, what the part had done so far is lost. Nor is one that is computed
// at once gone on with after an error, which may be that of an earlier stage.
bool run_stage(const Model& model, Executor& executor, const ModelConfig& config, State& state,
               Chunk& chunk, const std::atomic<bool>* interrupt);

// The MTP head over rows: from the main model's final-norm hidden states [rows][hidden] (on the
// host) of positions first … and the tokens that follow each. Leaves the head's normed output in
// `normed`, and logits of the last `logit_rows` rows in `logits`.
struct MtpResult {
  std::vector<float> normed;  // [rows][hidden]
  std::vector<float> logits;  // [logit_rows][vocab]
};
// Empty: interrupted; the head's KV may hold rows that will be written again.
std::optional<MtpResult> run_mtp(const Model& model, Executor& executor, const ModelConfig& config,
                                 kernels::KvCache& kv, std::span<const float> hidden,
                                 std::span<const TokenId> next, std::int64_t position,
                                 std::size_t logit_rows, kernels::ProductForm form,
                                 const std::atomic<bool>* interrupt);

}  // namespace hearth::engine
