// Loading: the checkpoint's files in order, each checked before the next, then what runs them. How
// memory is divided is runtime_memory.cpp, what goes to devices beside the host
// runtime_devices.cpp.
#include <algorithm>
#include <chrono>
#include <exception>
#include <iomanip>
#include <new>
#include <sstream>
#include <string>
#include <utility>

#include "engine/checkpoint/digest.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/engine.hpp"
#include "engine/experts/maintenance.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

// What a Backend says whose products all have the bits of the plain definitions.
constexpr const char* plain_numerics = "gemm f32";

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

}  // namespace

Runtime::Runtime() : executor_(std::make_unique<Executor>()) {}
Runtime::~Runtime() = default;

std::shared_ptr<Runtime> Runtime::load(const EngineOptions& options,
                                       const std::function<void(const LoadProgress&)>& progress,
                                       const std::atomic<bool>* stop) {
  if (!std::filesystem::is_directory(options.model)) {
    throw Error("there is no model directory " + options.model.string() +
                "; give the directory that holds config.json and the safetensors files");
  }
  if (options.devices.empty() || options.devices.front().device != kernels::Device{})
    throw Error("the first device must be the host");
  const char* making = "the tokenizer";
  try {
    std::shared_ptr<Runtime> runtime(new Runtime);
    Engine& engine = runtime->engine_;
    engine.options_ = options;
    engine.config_ = read_config(options.model);
    engine.defaults_ = read_generation_defaults(options.model);
    if (file_exists(options.model / "tokenizer.json")) {
      engine.tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::load(options.model));
      engine.profile_ =
          read_profile(options.model, engine.config_, *engine.tokenizer_, engine.defaults_);
      engine.profile_.thoughts = options.thoughts;
    }
    engine.context_ = context_tokens(options, engine.config_, engine.profile_);

    making = "the weights that are always there";
    engine.chunk_rows_ = engine::chunk_rows(options, engine.config_, engine.context_);
    engine.model_ = std::make_unique<Model>();
    Model& model = *engine.model_;
    model.tensors = std::make_unique<Tensors>(Tensors::open(options.model));
    const MemoryView view = options.memory ? *options.memory : read_memory();
    runtime->open_devices();
    runtime->place_layers();
    const bool mtp = runtime->mtp_wanted(view);
    runtime->plan_memory(view, {.min_experts = 1}, mtp);
    LayerPlaces places = runtime->layer_places();
    load_dense(model, places, engine.config_, mtp, progress, stop);
    runtime->device_of_layer_ = places.device_of;
    runtime->house_states();
    runtime->note_layers();
    if (!model.unused.empty()) engine.notes_.push_back(unused_note(model.unused));
    if (model.skipped > 0)
      engine.notes_.push_back(std::to_string(model.skipped) +
                              " tensors of the vision tower are skipped: hearth reads text");
    if (engine.config_.num_mtp_layers > 1)
      engine.notes_.push_back(
          "\"mtp_num_hidden_layers\" is " + std::to_string(engine.config_.num_mtp_layers) +
          ": the head that drafts tokens has more than one layer and is not run");
    runtime->take_digests();
    making = "the 8-bit copy of the output matrix";
    if (runtime->memory_.shortlist > 0)
      model.shortlist = runtime->backend().make_shortlist(model.lm_head);
    making = "the slots of the experts";
    // The experts' digests are beside the prefixes: there before the first expert is read.
    runtime->plan_experts_memory(view);
    runtime->open_prefixes();
    runtime->start_experts();
    return runtime;
  } catch (const std::bad_alloc&) {
    throw out_of_memory(making + (" of the model in " + options.model.string()));
  }
}

// Each computes as the host does: else a prompt's bits would depend on where its experts were.
void Runtime::open_devices() {
  const std::vector<DeviceOptions>& wanted = engine_.options_.devices;
  std::vector<ComputeDevice>& devices = executor_->devices;
  kernels::CpuChoice choice;
  ComputeDevice& host = devices.emplace_back();
  host.backend = kernels::open_cpu(wanted.front().threads, wanted.front().isa, choice);
  host.workspace = std::make_unique<Workspace>(*host.backend);
  engine_.notes_ = choice.notes;
  engine_.isa_ = choice.isa;
  engine_.threads_ = host.backend->threads();
  engine_.numerics_ = host.backend->numerics();
  engine_.description_ = host.backend->description();
  const std::string& numerics = engine_.numerics_;
  if (numerics != plain_numerics)
    engine_.notes_.push_back("numerics " + numerics + ": reading prompts differs in bits from " +
                             plain_numerics);

  for (std::string& note : open_beside_host()) engine_.notes_.push_back(std::move(note));
}

// What tells this checkpoint, as it was loaded, from another.
void Runtime::take_digests() {
  const auto began = std::chrono::steady_clock::now();
  const Model& model = engine_.model();
  const std::uint64_t samples = digest_samples(*model.tensors);
  engine_.sampling_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  engine_.take_fingerprint(samples);
  files_ = std::make_unique<CheckpointFiles>(engine_.options().model, *model.tensors, samples,
                                             model.dense_digest);
  executor_->digests = std::make_unique<ExpertDigests>(
      *model.store, engine_.fingerprint(), digest_stamps(*model.tensors), engine_.options().note);
}

void Runtime::open_prefixes() {
  const EngineOptions& from = engine_.options();
  PrefixOptions options;
  options.ram_bytes = memory_.prefixes;
  options.directory = from.prefix_directory;
  options.disk_bytes = from.prefix_disk_bytes;
  options.daily_bytes = from.prefix_daily_bytes;
  options.disk_min_seconds = from.disk_min_seconds;
  options.answer_seconds = from.answer_checkpoint_seconds;
  options.answer_bytes = from.answer_checkpoint_bytes;
  options.note = from.note;
  options.digests = executor_->digests.get();
  prefixes_ = std::make_unique<PrefixCache>(
      options, PrefixLayout::of(engine_.config(), from.kv, engine_.has_mtp()),
      engine_.fingerprint());
}

void Runtime::start_experts() {
  const EngineOptions& options = engine_.options();
  const ExpertOptions& wanted = options.experts;
  const Model& model = engine_.model();
  const ExpertStore& store = *model.store;
  ExpertCacheOptions cache;
  cache.devices = device_slots();
  cache.devices.insert(cache.devices.begin(), {&executor_->host(), memory_.experts});
  cache.reader = wanted.reader;
  cache.policy = wanted.policy;
  cache.prefetch = wanted.prefetch;
  cache.digests = executor_->digests.get();
  cache.note = options.note;
  if (!wanted.trace.empty()) {
    cache.trace =
        std::make_unique<RoutingTrace>(wanted.trace, store.layers(), store.experts_per_layer());
  }
  executor_->experts =
      std::make_unique<ExpertCache>(store, model.tensors->files(), std::move(cache));
  close_unused_devices();
  memory_.experts = executor_->experts->status().budget_bytes;
  host_memory_ = layers_on_host() + memory_.experts;

  MaintenanceOptions maintenance;
  if (!wanted.history.empty()) {
    std::ostringstream name;
    name << "routing-" << std::hex << std::setw(16) << std::setfill('0') << engine_.fingerprint();
    maintenance.history = wanted.history / name.str();
  }
  maintenance.fingerprint = engine_.fingerprint();
  maintenance.budget_bytes = memory_.experts;
  maintenance.yield_memory = wanted.yield_memory;
  maintenance.looked = wanted.looked;
  maintenance.note = options.note;
  maintenance_ = std::make_unique<CacheMaintenance>(*executor_->experts, std::move(maintenance));
}

kernels::Backend& Runtime::backend() {
  return executor_->host();
}
MemoryPlan Runtime::memory() const {
  const Lock lock(memory_mutex_);
  return memory_;
}
ExpertStatus Runtime::experts() const {
  return executor_->experts->status();
}
PrefixStatistics Runtime::prefix_statistics() const {
  return prefixes_->statistics();
}
std::shared_ptr<const SortedVocabulary> Runtime::vocabulary() {
  if (!vocabulary_) vocabulary_ = std::make_shared<const SortedVocabulary>(engine_.tokenizer());
  return vocabulary_;
}

void Runtime::forget_prefixes() {
  prefixes_->forget_all();
}

std::size_t Runtime::cached_prefix(std::span<const TokenId> tokens) {
  return prefixes_->find(tokens);
}
void Runtime::check_files() {
  files_->check();
}

}  // namespace hearth::engine
