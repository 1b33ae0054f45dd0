// Loading an Engine: the checkpoint's files in order, each checked before the next.
#include "engine/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iomanip>
#include <new>
#include <sstream>
#include <utility>

#include "engine/checkpoint/digest.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/experts/cache_warmer.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/forward/state.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

// Counts up whenever the same weights and tokens may give other bits.
constexpr std::uint64_t numeric_definition = 2;

// What a Backend says whose products all have the bits of the plain definitions.
constexpr const char* plain_numerics = "gemm f32";

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

std::uint64_t kv_bytes_per_position(const ModelConfig& config, KvType kv, bool mtp) {
  const auto layers = std::ranges::count(config.layers, LayerKind::full_attention) + (mtp ? 1 : 0);
  const std::uint64_t values = std::uint64_t{2} *
                               static_cast<std::uint64_t>(config.num_key_value_heads) *
                               static_cast<std::uint64_t>(config.head_dim);
  return static_cast<std::uint64_t>(layers) * values *
         (kv == KvType::f16 ? sizeof(std::uint16_t) : sizeof(float));
}

// Bytes of a sequence's DeltaNet states and convolution history.
std::uint64_t state_bytes(const ModelConfig& config) {
  const RecurrentShape shape = recurrent_shape(config);
  const auto layers = std::ranges::count(config.layers, LayerKind::linear_attention);
  return static_cast<std::uint64_t>(layers) * (shape.delta_bytes + shape.conv_bytes);
}

std::string unused_note(const std::vector<std::string>& names) {
  constexpr std::size_t max = 8;
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), max); ++i)
    list += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > max) list += " and " + std::to_string(names.size() - max) + " more";
  return "tensors of the checkpoint that hearth does not use (answers may differ from what its "
         "authors meant): " +
         list;
}

// Each computes as the host does: else a prompt's bits would depend on where its experts were.
void open_devices(const std::vector<DeviceOptions>& wanted, Model& model) {
  const std::string numerics = model.backend->numerics();
  for (const DeviceOptions& each : wanted) {
    const std::string name = kernels::name(each.device);
    std::unique_ptr<kernels::Backend> backend =
        each.open ? each.open() : kernels::open_cuda(each.device.index);
    const auto is_same = [&](const ExpertDevice& other) {
      return other.backend->device() == backend->device();
    };
    if (backend->device() != each.device || each.device == kernels::Device{} ||
        std::ranges::any_of(model.devices, is_same))
      throw Error(name + " cannot be a device beside the host, or is listed twice");
    if (backend->numerics() != numerics)
      throw Error(name + " computes prompts as " + backend->numerics() + ", the host as " +
                  numerics + ": answers would depend on where experts are; leave the device out");
    ExpertDevice device;
    device.workspace = std::make_unique<Workspace>(*backend);
    device.staging = std::make_unique<Workspace>(*backend, kernels::MemoryKind::page_locked);
    device.backend = std::move(backend);
    model.devices.push_back(std::move(device));
  }
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
  options.digests = engine.model().digests.get();
  const bool mtp = engine.model().mtp.has_value();
  return std::make_unique<PrefixCache>(options, PrefixLayout::of(engine.config(), from.kv, mtp),
                                       engine.fingerprint());
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

std::shared_ptr<const Engine> Engine::load(const EngineOptions& options,
                                           const std::function<void(const LoadProgress&)>& progress,
                                           const std::atomic<bool>* stop) {
  if (!std::filesystem::is_directory(options.model)) {
    throw Error("there is no model directory " + options.model.string() +
                "; give the directory that holds config.json and the safetensors files");
  }
  const char* making = "the tokenizer";
  try {
    std::shared_ptr<Engine> engine(new Engine);
    engine->options_ = options;
    engine->config_ = read_config(options.model);
    engine->defaults_ = read_generation_defaults(options.model);
    if (file_exists(options.model / "tokenizer.json")) {
      engine->tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::load(options.model));
      engine->profile_ =
          read_profile(options.model, engine->config_, *engine->tokenizer_, engine->defaults_);
    }
    engine->context_ = context_tokens(options, engine->config_, engine->profile_);

    making = "the weights that are always there";
    engine->chunk_rows_ = engine::chunk_rows(options, engine->config_, engine->context_);
    engine->model_ = std::make_unique<Model>();
    Model& model = *engine->model_;
    model.tensors = std::make_unique<Tensors>(Tensors::open(options.model));
    const MemoryView view = read_memory();
    engine->mtp_ = engine->mtp_wanted(view);
    engine->plan_memory(view, {.min_experts = 1});
    kernels::CpuChoice choice;
    model.backend = kernels::open_cpu(options.threads, options.isa, choice);
    engine->notes_ = choice.notes;
    if (const std::string numerics = model.backend->numerics(); numerics != plain_numerics)
      engine->notes_.push_back("numerics " + numerics + ": reading prompts differs in bits from " +
                               plain_numerics);
    engine->isa_ = choice.isa;
    open_devices(options.devices, model);
    load_dense(model, engine->config_, engine->mtp_, progress, stop);
    if (!model.unused.empty()) engine->notes_.push_back(unused_note(model.unused));
    engine->take_fingerprint();
    making = "the 8-bit copy of the output matrix";
    if (engine->memory_.shortlist > 0)
      model.shortlist = model.backend->make_shortlist(model.lm_head);
    making = "the slots of the experts";
    // The experts' digests are beside the prefixes: there before the first expert is read.
    engine->plan_experts_memory(view);
    engine->prefixes_ = open_prefixes(*engine);
    engine->start_experts();
    return engine;
  } catch (const std::bad_alloc&) {
    throw out_of_memory(making + (" of the model in " + options.model.string()));
  }
}

// Fingerprint of what was loaded, and of samples of what will be read.
void Engine::take_fingerprint() {
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t samples = digest_samples(*model_->tensors);
  sampling_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fingerprint_ = fingerprint_of(std::array{samples, model_->dense_digest},
                                read_text(options_.model / "config.json", 1 << 20), options_.kv,
                                model_->backend->numerics());
  // A state with the head's cache is none without it.
  if (mtp_) fingerprint_ = add_text(fingerprint_, "mtp");
  files_ = std::make_unique<CheckpointFiles>(options_.model, *model_->tensors, samples,
                                             model_->dense_digest);
  model_->digests = std::make_unique<ExpertDigests>(*model_->store, fingerprint_,
                                                    digest_stamps(*model_->tensors), options_.note);
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
  wishes.min_experts = 1;
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
  memory_.shortlist = engine::shortlist_bytes(options_, config_, memory_, view);
  plan_experts(memory_, view, wishes, "the checkpoint in " + options_.model.string());
}

void Engine::plan_experts_memory(const MemoryView& view) {
  const ExpertStore& store = *model_->store;
  const auto k = static_cast<std::uint64_t>(config_.num_experts_per_tok);
  MemoryWishes wishes;
  wishes.experts = options_.experts.memory;
  wishes.all_experts = store.size() * store.slot_bytes();
  wishes.min_experts = 2 * k * store.slot_bytes();
  plan_memory(view, wishes);
}

void Engine::start_experts() {
  const ExpertOptions& wanted = options_.experts;
  const ExpertStore& store = *model_->store;
  ExpertCacheOptions cache;
  cache.budget_bytes = memory_.experts;
  for (std::size_t i = 0; i < model_->devices.size(); ++i)
    cache.devices.push_back({model_->devices[i].backend.get(), options_.devices[i].expert_memory});
  cache.reader = wanted.reader;
  cache.policy = wanted.policy;
  cache.prefetch = wanted.prefetch;
  cache.digests = model_->digests.get();
  if (!wanted.trace.empty()) {
    cache.trace =
        std::make_unique<RoutingTrace>(wanted.trace, store.layers(), store.experts_per_layer());
  }
  model_->experts = std::make_unique<ExpertCache>(*model_->backend, store, model_->tensors->files(),
                                                  std::move(cache));
  memory_.experts = model_->experts->status().budget_bytes;

  CacheWarmerOptions warmer;
  if (!wanted.history.empty()) {
    std::ostringstream name;
    name << "routing-" << std::hex << std::setw(16) << std::setfill('0') << fingerprint_;
    warmer.history = wanted.history / name.str();
  }
  warmer.fingerprint = fingerprint_;
  warmer.budget_bytes = memory_.experts;
  warmer.yield_memory = wanted.yield_memory;
  warmer.note = options_.note;
  cache_warmer_ = std::make_unique<CacheWarmer>(*model_->experts, std::move(warmer));
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error("the checkpoint in " + options_.model.string() + " has no tokenizer.json");
}

std::string Engine::description() const {
  return model_->backend->description();
}
bool Engine::has_shortlist() const {
  return static_cast<bool>(model_->shortlist);
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
void Engine::check_files() const {
  files_->check();
}
PrefixStatistics Engine::prefix_statistics() const {
  return prefixes_->statistics();
}

}  // namespace hearth::engine
