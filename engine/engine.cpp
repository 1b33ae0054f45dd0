// Loading an Engine: the checkpoint's files in order, each checked before the next.
#include "engine/engine.hpp"

#include <algorithm>
#include <fstream>
#include <utility>

#include "engine/fingerprint.hpp"
#include "engine/model.hpp"
#include "engine/safetensors.hpp"

namespace hearth::engine {

namespace {

// Counts up whenever the same weights and tokens may give other bits.
constexpr std::uint64_t numeric_definition = 1;

std::uint64_t add_text(std::uint64_t hash, std::string_view text) {
  return fnv1a(std::as_bytes(std::span(text)), hash);
}

std::uint64_t add_number(std::uint64_t hash, std::uint64_t value) {
  return fnv1a(std::as_bytes(std::span(&value, 1)), hash);
}

// Names, forms and places of all tensors, and samples of their bytes: two trainings of one shape
// differ in the first weights already.
std::uint64_t fingerprint_of(const Tensors& tensors, const std::string& config, KvType kv) {
  constexpr std::uint64_t sample_bytes = 256;
  std::uint64_t hash = add_number(fnv1a_basis, numeric_definition);
  hash = add_number(hash, static_cast<std::uint64_t>(kv));
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

// Bytes a new process may take without pushing others out; 0 when the system does not say.
std::uint64_t available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  std::string unit;
  while (info >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(info, unit);
  }
  return 0;
}

std::string gib(std::uint64_t bytes) {
  const std::uint64_t tenths = bytes * 10 / (std::uint64_t{1} << 30);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

void require_memory(const Tensors& tensors, const std::filesystem::path& model) {
  std::uint64_t needed = 0;
  for (const auto& [name, tensor] : tensors.all()) needed += tensor.bytes;
  const std::uint64_t available = available_memory();
  if (available == 0 || needed <= available) return;
  throw Error("the checkpoint in " + model.string() + " needs " + gib(needed) + " of memory; " +
              gib(available) +
              " are free. All weights are held in memory: choose a smaller checkpoint or a machine "
              "with more");
}

}  // namespace

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

  const Tensors tensors = Tensors::open(options.model);
  require_memory(tensors, options.model);
  engine->fingerprint_ =
      fingerprint_of(tensors, read_text(options.model / "config.json", 1 << 20), options.kv);
  engine->model_ = std::make_unique<Model>();
  kernels::CpuChoice choice;
  engine->model_->backend = kernels::open_cpu(options.threads, options.isa, choice);
  engine->notes_ = choice.notes;
  load_weights(*engine->model_, engine->config_, tensors, options.mtp, progress, stop);
  return engine;
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error("the checkpoint in " + options_.model.string() + " has no tokenizer.json");
}

std::string Engine::description() const {
  return model_->backend->description();
}
std::uint64_t Engine::weight_bytes() const {
  return model_->weight_bytes;
}
kernels::Backend& Engine::backend() const {
  return *model_->backend;
}

}  // namespace hearth::engine
