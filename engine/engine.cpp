// Loading an Engine: the checkpoint's files in order, each checked before the next.
#include "engine/engine.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>

#include "engine/expert_keeper.hpp"
#include "engine/fingerprint.hpp"
#include "engine/forward.hpp"
#include "engine/model.hpp"
#include "engine/prefix_cache.hpp"
#include "engine/safetensors.hpp"
#include "engine/state.hpp"

namespace hearth::engine {

namespace {

// Counts up whenever the same weights and tokens may give other bits.
constexpr std::uint64_t numeric_definition = 2;

std::uint64_t add_text(std::uint64_t hash, std::string_view text) {
  return fnv1a(std::as_bytes(std::span(text)), hash);
}

std::uint64_t add_number(std::uint64_t hash, std::uint64_t value) {
  return fnv1a(std::as_bytes(std::span(&value, 1)), hash);
}

// Names, forms and places of all tensors, and samples of their bytes: two trainings of one shape
// differ in the first weights already.
std::uint64_t fingerprint_of(const Tensors& tensors, const std::string& config, KvType kv,
                             const std::string& numerics) {
  constexpr std::uint64_t sample_bytes = 256;
  std::uint64_t hash = add_number(fnv1a_basis, numeric_definition);
  hash = add_number(hash, static_cast<std::uint64_t>(kv));
  hash = add_text(hash, numerics);
  hash = add_text(hash, config);
  for (const auto& [name, tensor] : tensors.all()) {
    hash = add_text(hash, name);
    hash = add_number(hash, static_cast<std::uint64_t>(tensor.type));
    hash = add_number(hash, tensor.bytes);
    if (name.find(".experts.") != std::string::npos) continue;  // tens of thousands of small reads
    std::vector<std::byte> sample(static_cast<std::size_t>(std::min(tensor.bytes, sample_bytes)));
    tensors.read(tensor, 0, sample);
    hash = fnv1a(sample, hash);
  }
  return hash;
}

std::uint64_t kv_bytes_per_position(const Config& config, KvType kv, bool mtp) {
  const auto layers = std::ranges::count(config.layers, LayerKind::full_attention) + (mtp ? 1 : 0);
  const std::uint64_t values = std::uint64_t{2} *
                               static_cast<std::uint64_t>(config.num_key_value_heads) *
                               static_cast<std::uint64_t>(config.head_dim);
  return static_cast<std::uint64_t>(layers) * values *
         (kv == KvType::f16 ? sizeof(std::uint16_t) : sizeof(float));
}

// Of a sequence's DeltaNet states and convolution history.
std::uint64_t state_bytes(const Config& config) {
  const RecurrentShape shape = recurrent_shape(config);
  const auto layers = std::ranges::count(config.layers, LayerKind::linear_attention);
  return static_cast<std::uint64_t>(layers) * (shape.delta_bytes + shape.conv_bytes);
}

std::unique_ptr<PrefixCache> open_prefixes(const Engine& engine) {
  const EngineOptions& from = engine.options();
  PrefixOptions options;
  options.ram_bytes = engine.memory().prefixes;
  options.directory = from.prefix_directory;
  options.disk_bytes = from.prefix_disk_bytes;
  options.daily_bytes = from.prefix_daily_bytes;
  options.disk_min_seconds = from.disk_min_seconds;
  options.note = from.note;
  const bool mtp = engine.model().mtp.has_value();
  return std::make_unique<PrefixCache>(options, PrefixLayout::of(engine.config(), from.kv, mtp),
                                       engine.fingerprint());
}

}  // namespace

std::uint64_t screen_bytes(const EngineOptions& options, const Config& config,
                           const MemoryPlan& plan, const MemoryView& view) {
  constexpr std::int64_t least = std::int64_t{1} << 24;  // weights that caches do not hold
  constexpr std::uint64_t most_of_rest = 8;              // an eighth
  if (options.screening == Screening::off) return 0;
  const std::uint64_t bytes = kernels::Backend::screen_bytes(config.vocab_size, config.hidden_size);
  if (options.screening == Screening::always) return bytes;
  if (config.vocab_size * config.hidden_size < least) return 0;
  const std::uint64_t rest = view.available - std::min(view.available, plan.dense);
  return view.available == 0 || bytes <= rest / most_of_rest ? bytes : 0;
}

std::int64_t chunk_rows(const EngineOptions& options, const Config& config, std::int64_t context) {
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

std::shared_ptr<const Engine> Engine::load(const EngineOptions& options,
                                           const std::function<void(const LoadProgress&)>& progress,
                                           const std::atomic<bool>* stop) {
  if (!std::filesystem::is_directory(options.model)) {
    throw Error("there is no model directory " + options.model.string() +
                "; give the directory that holds config.json and the safetensors files");
  }
  std::shared_ptr<Engine> engine(new Engine);
  engine->options_ = options;
  engine->config_ = read_config(options.model);
  engine->defaults_ = read_generation_defaults(options.model);
  if (std::filesystem::exists(options.model / "tokenizer.json")) {
    engine->tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::load(options.model));
    engine->profile_ =
        read_profile(options.model, engine->config_, *engine->tokenizer_, engine->defaults_);
  }
  engine->context_ = options.context > 0 ? options.context : engine->profile_.context_tokens;
  if (engine->context_ <= 0) engine->context_ = engine->config_.max_position_embeddings;
  if (engine->context_ > engine->config_.max_position_embeddings) {
    throw Error("context " + std::to_string(engine->context_) +
                " is more than the model's max_position_embeddings, " +
                std::to_string(engine->config_.max_position_embeddings));
  }

  engine->chunk_rows_ = engine::chunk_rows(options, engine->config_, engine->context_);
  engine->model_ = std::make_unique<Model>();
  Model& model = *engine->model_;
  model.tensors = std::make_unique<Tensors>(Tensors::open(options.model));
  const MemoryView view = read_memory();
  engine->mtp_ = engine->mtp_wanted(view);
  engine->plan_memory(view, {.least_experts = 1});
  kernels::CpuChoice choice;
  model.backend = kernels::open_cpu(options.threads, options.isa, choice);
  engine->notes_ = choice.notes;
  engine->isa_ = choice.isa;
  engine->fingerprint_ =
      fingerprint_of(*model.tensors, read_text(options.model / "config.json", 1 << 20), options.kv,
                     model.backend->numerics());
  // A state with the head's cache is none without it.
  if (engine->mtp_) engine->fingerprint_ = add_text(engine->fingerprint_, "mtp");
  load_dense(model, engine->config_, engine->mtp_, progress, stop);
  if (engine->memory_.screen > 0) model.screen = model.backend->make_screen(model.lm_head);
  engine->start_experts(view);
  engine->prefixes_ = open_prefixes(*engine);
  return engine;
}

bool Engine::mtp_wanted(const MemoryView& view) {
  const bool there = model_->tensors->find("mtp.fc.weight") != nullptr;
  if (!there || options_.mtp != MtpUse::where_it_pays) {
    return there && options_.mtp == MtpUse::always;
  }
  mtp_ = true;  // the plan with it
  const std::uint64_t weights = expert_bytes(*model_->tensors, true);
  constexpr std::uint64_t slots = 64;  // of which one is lost to the slots' borders
  MemoryWishes wishes;
  wishes.experts = options_.experts.memory;
  wishes.all_experts = weights + weights / slots;
  wishes.least_experts = 1;
  try {
    plan_memory(view, wishes);
  } catch (const Error&) {
    return false;  // perhaps it fits without
  }
  return memory_.experts >= wishes.all_experts;
}

// Throws Error where not even the dense weights fit.
void Engine::plan_memory(const MemoryView& view, const MemoryWishes& wishes) {
  memory_.dense = dense_bytes(*model_->tensors, mtp_);
  memory_.kv =
      static_cast<std::uint64_t>(context_) * kv_bytes_per_position(config_, options_.kv, mtp_);
  memory_.prefixes = options_.prefix_ram_bytes.value_or(default_prefixes(view));
  memory_.scratch = static_cast<std::uint64_t>(chunk_rows_) * chunk_bytes_per_row(config_);
  memory_.states = (2 + options_.drafts) * state_bytes(config_);
  memory_.screen = engine::screen_bytes(options_, config_, memory_, view);
  plan_experts(memory_, view, wishes, options_.model.string());
}

void Engine::start_experts(const MemoryView& view) {
  const ExpertOptions& wanted = options_.experts;
  const ExpertStore& store = *model_->store;
  const auto k = static_cast<std::uint64_t>(config_.num_experts_per_tok);
  MemoryWishes wishes;
  wishes.experts = wanted.memory;
  wishes.all_experts = store.size() * store.slot_bytes();
  wishes.least_experts = 2 * k * store.slot_bytes();
  plan_memory(view, wishes);

  ExpertCacheOptions cache;
  cache.budget_bytes = memory_.experts;
  cache.reader = wanted.reader;
  cache.policy = wanted.policy;
  cache.prefetch = wanted.prefetch;
  if (!wanted.trace.empty()) {
    cache.trace =
        std::make_unique<RoutingTrace>(wanted.trace, store.layers(), store.experts_per_layer());
  }
  model_->experts = std::make_unique<ExpertCache>(*model_->backend, store, model_->tensors->files(),
                                                  std::move(cache));
  memory_.experts = model_->experts->status().budget_bytes;

  KeeperOptions keeper;
  if (!wanted.history.empty()) {
    std::ostringstream name;
    name << "routing-" << std::hex << std::setw(16) << std::setfill('0') << fingerprint_;
    keeper.history = wanted.history / name.str();
  }
  keeper.fingerprint = fingerprint_;
  keeper.budget_bytes = memory_.experts;
  keeper.yield_memory = wanted.yield_memory;
  keeper.note = options_.note;
  keeper_ = std::make_unique<ExpertKeeper>(*model_->experts, std::move(keeper));
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error("the checkpoint in " + options_.model.string() + " has no tokenizer.json");
}

std::string Engine::description() const {
  return model_->backend->description();
}
bool Engine::screened() const {
  return static_cast<bool>(model_->screen);
}
ExpertStatus Engine::experts() const {
  return model_->experts->status();
}
kernels::Backend& Engine::backend() const {
  return *model_->backend;
}
std::size_t Engine::cached_prefix(std::span<const TokenId> tokens) const {
  return prefixes_->find(tokens);
}
PrefixStatistics Engine::prefix_statistics() const {
  return prefixes_->statistics();
}

}  // namespace hearth::engine
