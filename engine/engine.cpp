// An Engine's face and fingerprint, and what follows from its options.
#include "engine/engine.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/file.hpp"

namespace hearth::engine {

namespace {

// Counts up whenever the same weights and tokens may give other bits.
constexpr std::uint64_t numeric_definition = 2;

std::uint64_t add_text(std::uint64_t hash, std::string_view text) {
  return digest(std::as_bytes(std::span(text)), hash);
}

std::uint64_t add_number(std::uint64_t hash, std::uint64_t value) {
  return digest(std::as_bytes(std::span(&value, 1)), hash);
}

// `bytes`: of the checkpoint's files.
std::uint64_t fingerprint_of(std::span<const std::uint64_t> bytes, const std::string& config,
                             KvType kv, const std::string& numerics) {
  std::uint64_t hash = add_number(0, numeric_definition);
  hash = add_number(hash, static_cast<std::uint64_t>(kv));
  hash = add_text(hash, numerics);
  hash = add_text(hash, config);
  for (const std::uint64_t part : bytes) hash = add_number(hash, part);
  return hash;
}

}  // namespace

std::uint64_t shortlist_bytes(const EngineOptions& options, const ModelConfig& config,
                              const MemoryPlan& plan, const MemoryView& view) {
  constexpr std::int64_t min = std::int64_t{1} << 24;  // weights that caches do not hold
  constexpr std::uint64_t max_share_of_rest = 8;       // an eighth
  if (options.shortlist == ShortlistUse::off) return 0;
  const std::uint64_t bytes =
      kernels::Backend::shortlist_bytes(config.vocab_size, config.hidden_size);
  if (options.shortlist == ShortlistUse::always) return bytes;
  if (config.vocab_size * config.hidden_size < min) return 0;
  const std::uint64_t rest = view.available - std::min(view.available, plan.dense);
  return view.available == 0 || bytes <= rest / max_share_of_rest ? bytes : 0;
}

std::int64_t context_tokens(const EngineOptions& options, const ModelConfig& config,
                            const Profile& profile) {
  std::int64_t context = options.context > 0 ? options.context : profile.context_tokens;
  if (context <= 0) context = config.max_position_embeddings;
  if (context > config.max_position_embeddings) {
    throw Error("context " + std::to_string(context) +
                " is more than the model's max_position_embeddings, " +
                std::to_string(config.max_position_embeddings));
  }
  return context;
}

std::int64_t chunk_rows(const EngineOptions& options, const ModelConfig& config,
                        std::int64_t context) {
  constexpr std::int64_t unit = 64;  // chunks of the delta rule
  std::int64_t rows = options.chunk;
  if (rows <= 0) {
    const std::int64_t whole_context = (context + unit - 1) / unit * unit;
    rows = static_cast<std::int64_t>(options.scratch / chunk_bytes_per_row(config));
    rows = std::min(rows / unit * unit, whole_context);
  }
  return std::max(unit, (rows + unit - 1) / unit * unit);
}

Engine::Engine() = default;
Engine::~Engine() = default;

// Of what was loaded, and of samples of what will be read.
void Engine::take_fingerprint(std::uint64_t samples) {
  fingerprint_ =
      fingerprint_of(std::array{samples, model_->dense_digest},
                     read_text(options_.model / "config.json", 1 << 20), options_.kv, numerics_);
  // A state with the head's cache is none without it.
  if (has_mtp()) fingerprint_ = add_text(fingerprint_, "mtp");
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error("the checkpoint in " + options_.model.string() + " has no tokenizer.json");
}

bool Engine::has_mtp() const {
  return model_->mtp.has_value();
}
bool Engine::has_shortlist() const {
  return static_cast<bool>(model_->shortlist);
}

}  // namespace hearth::engine
