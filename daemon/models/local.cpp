// Loading, the computing thread, and the calls of lsp::Model.
#include "daemon/local_model.hpp"

#include <utility>

#include "daemon/delivery.hpp"
#include "daemon/generation_work.hpp"
#include "daemon/render.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t sessions_kept = 3;  // one for each priority
constexpr std::chrono::milliseconds load_report_every{200};

engine::MtpUse mtp_use(const std::string& speculate) {
  if (speculate == "auto") return engine::MtpUse::where_it_pays;
  return speculate == "mtp" ? engine::MtpUse::always : engine::MtpUse::off;
}

// What is left, if the rest goes as what went.
std::optional<std::chrono::milliseconds> load_eta(const engine::LoadProgress& progress,
                                                  std::chrono::duration<double> so_far) {
  if (progress.bytes_done == 0 || progress.bytes_done > progress.bytes_total) return std::nullopt;
  const double left = static_cast<double>(progress.bytes_total - progress.bytes_done) /
                      static_cast<double>(progress.bytes_done);
  return std::chrono::round<std::chrono::milliseconds>(so_far * left);
}

}  // namespace

engine::EngineOptions engine_options(const Config& config, const std::filesystem::path& model,
                                     const std::filesystem::path& state) {
  engine::EngineOptions options;
  options.model = model;
  options.threads = static_cast<int>(config.model_threads);
  options.isa = kernels::parse_isa(config.model_isa);  // "auto": none of them
  options.kv = config.model_kv == "f16" ? engine::KvType::f16 : engine::KvType::f32;
  options.context = config.model_context;
  options.mtp = mtp_use(config.decode_speculate);
  if (config.decode_speculate == "off") options.drafts = 0;
  options.scratch = config.memory_scratch;
  options.experts.memory = config.memory_experts.value_or(0);
  options.experts.reader = engine::parse_reader(config.experts_reader);
  options.experts.policy =
      engine::parse_policy(config.experts_policy).value_or(engine::PolicyKind::lrfu);
  options.experts.prefetch = config.experts_prefetch;
  options.experts.history = state;
  options.experts.yield_memory = true;
  options.prefix_ram_bytes = config.memory_prefixes;
  options.checkpoint_distance = config.prefixes_distance;
  if (!state.empty() && config.prefixes_disk > 0) options.prefix_directory = state / "prefixes";
  options.prefix_disk_bytes = config.prefixes_disk;
  options.prefix_daily_bytes = config.prefixes_daily;
  options.disk_min_seconds = std::chrono::duration<double>(config.prefixes_least).count();
  return options;
}

LocalModel::LocalModel(lsp::Host& host, engine::EngineOptions options)
    : host_(host), options_(std::move(options)), shared_(std::make_shared<Engine>()) {
  options_.note = [this](const std::string& note) { host_.log(lsp::LogLevel::info, note); };
  shared_->status.directory = options_.model.string();
  thread_ = std::thread([this] { run(); });
}

LocalModel::~LocalModel() {
  stop_ = true;
  scheduler_.close({"hearth is stopping", true});
  thread_.join();
}

void LocalModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  when_loaded([this, done = std::move(done)](const lsp::ModelError* error) {
    if (error != nullptr) return done(*error);
    done(daemon::describe(*engine_));
  });
}

void LocalModel::count_tokens(std::vector<std::string> texts,
                              lsp::Callback<std::vector<std::int64_t>> done) {
  when_loaded([this, texts = std::move(texts),
               done = std::move(done)](const lsp::ModelError* error) {
    if (error != nullptr) return done(*error);
    auto counts = std::make_shared<std::vector<std::int64_t>>();
    host_.background(
        [engine = engine_, texts, counts] {
          for (const auto& text : texts) {
            counts->push_back(static_cast<std::int64_t>(engine->tokenizer().encode(text).size()));
          }
        },
        [counts, done] { done(std::move(*counts)); });
  });
}

void LocalModel::estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  when_loaded([this, prompt = std::move(prompt),
               done = std::move(done)](const lsp::ModelError* error) {
    if (error != nullptr) return done(*error);
    scheduler_.between_steps([this, prompt, done] {
      lsp::Result<lsp::Estimate> result;
      try {
        const auto tokens = render(*shared_->engine, prompt).tokens;
        lsp::Estimate estimate;
        estimate.prompt_tokens = static_cast<std::int64_t>(tokens.size());
        estimate.uncached_tokens =
            estimate.prompt_tokens - static_cast<std::int64_t>(shared_->sessions->common(tokens));
        const std::scoped_lock lock(shared_->mutex);
        estimate.first_token =
            shared_->speeds.prefill.time_for(static_cast<double>(estimate.uncached_tokens));
        result = estimate;
      } catch (const std::exception& failed) {
        result = lsp::ModelError{failed.what()};
      }
      host_.post([done, result] { done(result); });
    });
  });
}

lsp::GenerationId LocalModel::prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  auto post_done = [this, done = std::move(done)](lsp::Result<lsp::Estimate> result) {
    host_.post([done, result = std::move(result)] { done(result); });
  };
  return scheduler_.submit(lsp::Priority::background,
                           std::make_unique<PrefillWork>(shared_, std::move(prompt), post_done));
}

lsp::GenerationId LocalModel::generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                                       lsp::GenerationEvents events) {
  auto delivery = std::make_shared<Delivery>(host_, std::move(events));
  {
    const std::scoped_lock lock(shared_->mutex);
    ++shared_->status.requests;
  }
  delivery->progress(not_begun());
  const auto priority = options.priority;
  return scheduler_.submit(priority, std::make_unique<GenerationWork>(
                                         shared_, std::move(prompt), std::move(options), delivery));
}

void LocalModel::cancel(lsp::GenerationId id) {
  scheduler_.cancel(id);
}

ModelStatus LocalModel::status() const {
  const std::size_t waiting = scheduler_.size();
  const std::scoped_lock lock(shared_->mutex);
  ModelStatus status = shared_->status;
  status.waiting = waiting;
  if (engine_) {
    status.memory = engine_->memory();
    status.experts = engine_->experts();
    status.prefixes = engine_->prefix_statistics();
  }
  status.prefill_speed = shared_->speeds.prefill.per_second();
  status.decode_speed = shared_->speeds.decode.per_second();
  return status;
}

void LocalModel::run() {
  std::shared_ptr<const engine::Engine> engine;
  std::string failure;
  try {
    engine = load();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (stop_) return;
  if (engine) {
    shared_->engine = engine;
    shared_->sessions.emplace(engine, sessions_kept);
    lsp::GenerationProgress queued;
    scheduler_.tell_waiting(queued);
  } else {
    scheduler_.close({failure});
  }
  host_.post([this, engine, failure] { loaded(engine, failure); });
  while (scheduler_.wait()) scheduler_.advance();
  shared_->sessions.reset();
}

std::shared_ptr<const engine::Engine> LocalModel::load() {
  host_.log(lsp::LogLevel::info, "loading " + options_.model.string());
  const auto started = Clock::now();
  auto reported = started;
  const auto report = [&](const engine::LoadProgress& progress) {
    const auto now = Clock::now();
    {
      const std::scoped_lock lock(shared_->mutex);
      shared_->status.load = progress;
    }
    if (now - reported < load_report_every) return;
    reported = now;
    lsp::GenerationProgress loading;
    loading.phase = lsp::GenerationProgress::Phase::loading;
    loading.eta = load_eta(progress, now - started);
    scheduler_.tell_waiting(loading);
  };
  auto engine = engine::Engine::load(options_, report, &stop_);

  const std::chrono::duration<double> took = Clock::now() - started;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", took.count());
  host_.log(lsp::LogLevel::info,
            "loaded " + engine->profile().name + " in " + seconds + ": " + engine->description());
  for (const auto& note : engine->notes()) host_.log(lsp::LogLevel::info, note);
  const std::scoped_lock lock(shared_->mutex);
  auto& status = shared_->status;
  status.state = ModelStatus::State::ready;
  status.name = engine->profile().name;
  status.device = engine->description();
  status.notes = engine->notes();
  status.context = engine->context();
  status.drafts = engine->options().drafts;
  status.mtp = engine->has_mtp();
  return engine;
}

void LocalModel::loaded(std::shared_ptr<const engine::Engine> engine, std::string error) {
  engine_ = std::move(engine);
  load_error_ = std::move(error);
  if (!engine_) {
    host_.log(lsp::LogLevel::error, "the model cannot be loaded: " + load_error_);
    const std::scoped_lock lock(shared_->mutex);
    shared_->status.state = ModelStatus::State::failed;
    shared_->status.error = load_error_;
  }
  const lsp::ModelError failure{load_error_};
  for (const auto& task : std::exchange(when_loaded_, {})) task(engine_ ? nullptr : &failure);
}

// Never calls back before it returns.
void LocalModel::when_loaded(Loaded task) {
  if (!engine_ && load_error_.empty()) {
    when_loaded_.push_back(std::move(task));
    return;
  }
  host_.post([this, task = std::move(task)] {
    const lsp::ModelError failure{load_error_};
    task(engine_ ? nullptr : &failure);
  });
}

lsp::GenerationProgress LocalModel::not_begun() const {
  lsp::GenerationProgress progress;
  if (!engine_) progress.phase = lsp::GenerationProgress::Phase::loading;
  return progress;
}

}  // namespace hearth::daemon
