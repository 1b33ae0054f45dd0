// Loading: the checkpoint's files in order, each checked before the next, then what runs them. Also
// how memory is divided.
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
    const bool mtp = runtime->mtp_wanted(view);
    runtime->plan_memory(view, {.min_experts = 1}, mtp);
    runtime->open_devices();
    kernels::Backend& host = runtime->backend();
    load_dense(model, host, engine.config_, mtp, progress, stop);
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
    if (runtime->memory_.shortlist > 0) model.shortlist = host.make_shortlist(model.lm_head);
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

// A device that is to be used as far as there is room on it may also be missing: the result says
// so.
std::vector<std::string> Runtime::open_beside_host() {
  std::vector<std::string> notes;
  const std::string& numerics = engine_.numerics_;
  std::vector<ComputeDevice>& devices = executor_->devices;
  for (const DeviceOptions& each : std::span(engine_.options_.devices).subspan(1)) {
    const std::string name = kernels::name(each.device);
    std::unique_ptr<kernels::Backend> backend;
    try {
      backend = each.open ? each.open() : kernels::open_cuda(each.device.index);
    } catch (const kernels::Error& missing) {
      if (each.expert_memory > 0) throw;
      notes.push_back(std::string(missing.what()) + "; the host computes everything");
      continue;
    }
    const auto is_same = [&](const ComputeDevice& other) {
      return other.backend->device() == backend->device();
    };
    if (backend->device() != each.device || std::ranges::any_of(devices, is_same))
      throw Error(name + " cannot be a device beside the host, or is listed twice");
    if (backend->numerics() != numerics)
      throw Error(name + " computes prompts as " + backend->numerics() + ", the host as " +
                  numerics + ": answers would depend on where experts are; leave the device out");
    ComputeDevice device;
    device.workspace = std::make_unique<Workspace>(*backend);
    device.staging = std::make_unique<Workspace>(*backend, kernels::MemoryKind::page_locked);
    device.backend = std::move(backend);
    devices.push_back(std::move(device));
  }
  return notes;
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

bool Runtime::mtp_wanted(const MemoryView& view) {
  const EngineOptions& options = engine_.options();
  const Tensors& tensors = *engine_.model().tensors;
  const bool there = tensors.find("mtp.fc.weight") != nullptr;
  // A head of several layers drafts otherwise; without it nothing but speed is lost.
  if (!there || engine_.config().num_mtp_layers > 1) return false;
  if (options.mtp != MtpUse::where_it_pays) return options.mtp == MtpUse::always;
  const std::uint64_t weights = expert_bytes(tensors, true);
  constexpr std::uint64_t slots = 64;  // of which one is lost to the slots' borders
  MemoryWishes wishes;
  wishes.experts = options.host().expert_memory;
  wishes.all_experts = weights + weights / slots;
  wishes.min_experts = 1;
  try {
    plan_memory(view, wishes, true);
  } catch (const Error&) {
    return false;  // perhaps it fits without
  }
  return memory_.experts >= wishes.all_experts;
}

// Throws Error where not even the dense weights fit.
void Runtime::plan_memory(const MemoryView& view, const MemoryWishes& wishes, bool mtp) {
  const EngineOptions& options = engine_.options();
  const ModelConfig& config = engine_.config();
  memory_.dense = dense_bytes(*engine_.model().tensors, mtp);
  memory_.kv = static_cast<std::uint64_t>(engine_.context()) *
               kv_bytes_per_position(config, options.kv, mtp);
  memory_.prefixes = options.prefix_ram_bytes.value_or(default_prefixes(view));
  memory_.scratch = static_cast<std::uint64_t>(engine_.chunk_rows()) * chunk_bytes_per_row(config);
  memory_.states = (2 + options.drafts) * state_bytes(config);
  memory_.shortlist = shortlist_bytes(options, config, memory_, view);
  plan_experts(memory_, view, wishes, "the checkpoint in " + options.model.string());
}

void Runtime::plan_experts_memory(const MemoryView& view) {
  const ExpertStore& store = *engine_.model().store;
  const auto k = static_cast<std::uint64_t>(engine_.config().num_experts_per_tok);
  MemoryWishes wishes;
  wishes.experts = engine_.options().host().expert_memory;
  wishes.all_experts = store.size() * store.slot_bytes();
  wishes.min_experts = 2 * k * store.slot_bytes();
  plan_memory(view, wishes, engine_.has_mtp());
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

// Those beside the host that are open.
std::vector<DeviceSlots> Runtime::device_slots() const {
  std::vector<DeviceSlots> slots;
  for (const ComputeDevice& device : std::span(executor_->devices).subspan(1)) {
    const auto wanted = std::ranges::find(engine_.options_.devices, device.backend->device(),
                                          &DeviceOptions::device);
    slots.push_back({device.backend.get(), wanted->expert_memory});
  }
  return slots;
}

DeviceUse Runtime::device_use() const {
  if (engine_.options().devices.size() == 1) return DeviceUse::none;
  return executor_->experts->status().devices.empty() ? DeviceUse::released : DeviceUse::in_use;
}

void Runtime::release_devices() noexcept {
  executor_->experts->release_devices();
  executor_->devices.erase(executor_->devices.begin() + 1, executor_->devices.end());
}

// Those that have no room for experts: the cache counts its devices as the executor does.
void Runtime::close_unused_devices() {
  const std::vector<DeviceExperts> used = executor_->experts->status().devices;
  std::vector<ComputeDevice>& devices = executor_->devices;
  const auto is_unused = [&](const ComputeDevice& device) {
    return std::ranges::find(used, device.backend->device(), &DeviceExperts::device) == used.end();
  };
  devices.erase(std::remove_if(devices.begin() + 1, devices.end(), is_unused), devices.end());
}

bool Runtime::take_devices() {
  constexpr auto between_tries = std::chrono::minutes(1);
  const auto now = std::chrono::steady_clock::now();
  if (engine_.options().devices.size() == 1 || executor_->experts->has_devices() ||
      now < next_take_)
    return false;
  release_devices();  // one that had no room for experts
  std::vector<std::string> notes;
  try {
    notes = open_beside_host();
    executor_->experts->take_devices(device_slots());
    close_unused_devices();
  } catch (const std::exception& failed) {
    release_devices();
    notes = {std::string(failed.what()) + "; the host computes everything for now"};
  }
  if (const auto& note = engine_.options().note)
    for (const std::string& each : notes) note(each);
  const bool taken = executor_->experts->has_devices();
  if (!taken) next_take_ = now + between_tries;
  return taken;
}

std::vector<std::optional<kernels::LinkSpeed>> Runtime::measure_links() {
  std::vector<std::optional<kernels::LinkSpeed>> links;
  for (const ComputeDevice& device : std::span(executor_->devices).subspan(1)) {
    links.emplace_back();
    try {
      links.back() = kernels::measure_link(*device.backend);
    } catch (const std::exception&) {
      // It has no room for that, or fails: the next request says so.
    }
  }
  return links;
}

kernels::Backend& Runtime::backend() {
  return executor_->host();
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
