// Loading, the computing thread, and the calls of lsp::Model.
#include "daemon/models/local.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <new>
#include <numeric>
#include <utility>

#include "daemon/models/estimate_file.hpp"
#include "daemon/models/event_coalescer.hpp"
#include "daemon/models/generation_task.hpp"
#include "daemon/models/gpu_link.hpp"
#include "daemon/models/render.hpp"
#include "daemon/platform/insist.hpp"
#include "engine/draft_session.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t sessions_kept = 3;  // one for each priority
constexpr std::chrono::milliseconds load_report_every{200};
constexpr std::chrono::minutes keep_every{1};

std::optional<std::chrono::milliseconds> milliseconds(const std::optional<Forecast>& time) {
  if (!time) return std::nullopt;
  return std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(time->mean));
}

// What is left, if the rest goes as what went.
std::optional<std::chrono::milliseconds> load_eta(const engine::LoadProgress& progress,
                                                  std::chrono::duration<double> so_far) {
  if (progress.bytes_done == 0 || progress.bytes_done > progress.bytes_total) return std::nullopt;
  const double left = static_cast<double>(progress.bytes_total - progress.bytes_done) /
                      static_cast<double>(progress.bytes_done);
  return std::chrono::round<std::chrono::milliseconds>(so_far * left);
}

void save_or_log(lsp::Host& host, const std::filesystem::path& file, const Measured& of,
                 const Estimates& estimates) {
  try {
    save_estimates(file, of, estimates);
  } catch (const std::exception& failed) {
    host.log(lsp::LogLevel::info,
             std::string("what was learnt of speeds is not kept: ") + failed.what());
  }
}

}  // namespace

LocalModel::LocalModel(lsp::Host& host, engine::EngineOptions options, LocalModel* other)
    : host_(host),
      options_(std::move(options)),
      scheduler_(other == nullptr ? nullptr : &other->scheduler_),
      shared_(std::make_shared<Shared>()) {
  if (!options_.experts.history.empty())
    estimates_file_ = options_.experts.history / "estimates.json";
  options_.note = [this](const std::string& note) { host_.log(lsp::LogLevel::info, note); };
  shared_->status.directory = options_.model.string();
  thread_ = std::thread([this] { run(); });
}

LocalModel::~LocalModel() {
  if (thread_.joinable()) end_thread({"hearth is stopping", lsp::ModelError::Kind::cancelled});
}

void LocalModel::end_thread(const lsp::ModelError& reason) {
  scheduler_.close(reason);
  stop_ = true;
  stop_.notify_all();
  thread_.join();
}

void LocalModel::unload(const std::string& reason) {
  if (!thread_.joinable()) return;
  end_thread({reason, lsp::ModelError::Kind::unavailable});
  shared_->runtime.reset();
  runtime_.reset();
  fail(reason);
}

void LocalModel::hold() {
  scheduler_.between_steps([this] { stop_.wait(false); });
}

void LocalModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  when_loaded([this, done = std::move(done)](const lsp::ModelError* error) {
    if (error != nullptr) return done(*error);
    lsp::ModelDescription description = daemon::describe(runtime_->engine());
    description.identity = fmt::format("{:016x}", runtime_->engine().fingerprint());
    {
      const engine::Lock lock(shared_->mutex);
      description.profile.completion_speed = shared_->estimates.completion_speed();
    }
    done(description);
  });
}

lsp::LoadingProgress LocalModel::loading() const {
  const engine::Lock lock(shared_->mutex);
  const engine::LoadProgress& load = shared_->status.load;
  lsp::LoadingProgress progress;
  if (load.bytes_total > 0) {
    const double share =
        static_cast<double>(load.bytes_done) / static_cast<double>(load.bytes_total);
    progress.percentage = static_cast<std::int64_t>(100 * std::clamp(share, 0.0, 1.0));
  }
  progress.eta = load_eta(load, Clock::now() - started_);
  return progress;
}

void LocalModel::estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  when_loaded(
      [this, prompt = std::move(prompt), done = std::move(done)](const lsp::ModelError* error) {
        if (error != nullptr) return done(*error);
        scheduler_.between_steps([this, prompt, done] {
          lsp::Result<lsp::Estimate> result;
          try {
            const auto tokens = render(shared_->runtime->engine(), prompt).tokens;
            lsp::Estimate estimate;
            estimate.prompt_tokens = static_cast<std::int64_t>(tokens.size());
            const auto cached = static_cast<std::int64_t>(shared_->sessions->common(tokens));
            estimate.uncached_tokens = estimate.prompt_tokens - cached;
            const Work work{.unread = static_cast<double>(estimate.uncached_tokens),
                            .read = static_cast<double>(cached)};
            const engine::Lock lock(shared_->mutex);
            estimate.first_token = milliseconds(shared_->estimates.first_token(work));
            result = estimate;
          } catch (const std::exception& failed) {
            result = lsp::ModelError{lsp::failure_text(failed)};
          }
          if (!insist([&] { host_.post([done, result] { done(result); }); }))
            throw std::bad_alloc();
        });
      });
}

void LocalModel::draft_with(std::shared_ptr<engine::Runtime> small) {
  scheduler_.between_steps([this, small = std::move(small)] {
    Shared& shared = *shared_;
    if (shared.drafted != nullptr) shared.drafted->stop_drafts();
    shared.drafts.reset();
    std::string drafting;
    try {
      if (small) {
        shared.drafts = std::make_unique<engine::DraftSession>(small, shared.runtime->engine());
        drafting = small->engine().profile().name;
      }
    } catch (const std::exception& failed) {
      host_.log(lsp::LogLevel::warn, "inline.drafts: " + lsp::failure_text(failed));
    }
    const engine::Lock lock(shared.mutex);
    shared.status.drafting = drafting;
  });
}

std::shared_ptr<engine::Runtime> LocalModel::for_drafts() const {
  return runtime_ ? shared_->runtime : nullptr;
}

bool LocalModel::forget_prompts(std::function<void()> done) {
  if (!runtime_) return false;
  scheduler_.between_steps([this, done = std::move(done)] {
    shared_->runtime->forget_prefixes();
    if (!insist([&] { host_.post(done); })) throw std::bad_alloc();
  });
  return true;
}

void LocalModel::release_gpu() {
  if (!runtime_) return;
  gpu_wanted_ = false;
  scheduler_.between_steps([this] { shared_->runtime->release_devices(); });
}

void LocalModel::take_gpu() {
  if (!runtime_) return;
  gpu_wanted_ = true;
  scheduler_.between_steps([] {});  // wakes the computing thread
}

void LocalModel::when_gpu_taken(std::function<void()> taken) {
  gpu_taken_ = std::move(taken);
  if (runtime_) tell_gpu_taken();
}

void LocalModel::tell_gpu_taken() {
  if (gpu_taken_ && runtime_->device_use() == engine::DeviceUse::in_use) gpu_taken_();
}

std::optional<std::chrono::milliseconds> LocalModel::usual_time(
    lsp::Prompt::Kind kind, std::int64_t prompt_tokens, const lsp::GenerateOptions& options) const {
  const bool chat = kind == lsp::Prompt::Kind::chat;
  const std::int64_t thought =
      runtime_ ? most_thought(runtime_->engine().profile(), kind, options) : 0;
  const Work work{.unread = static_cast<double>(prompt_tokens),
                  .writing = {options.action, chat, {thought, options.max_tokens}, {}}};
  const engine::Lock lock(shared_->mutex);
  return milliseconds(shared_->estimates.end(work));
}

lsp::GenerationId LocalModel::prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  gpu_wanted_ = true;
  auto post_done = [this, done = std::move(done)](lsp::Result<lsp::Estimate> result) {
    if (!insist([&] { host_.post([done, result] { done(result); }); })) throw std::bad_alloc();
  };
  return scheduler_.submit(lsp::Priority::background, 0,
                           std::make_unique<PrefillTask>(shared_, std::move(prompt), post_done));
}

lsp::GenerationId LocalModel::generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                                       lsp::GenerationEvents events) {
  auto events_out = std::make_shared<EventCoalescer>(host_, std::move(events));
  gpu_wanted_ = true;
  {
    const engine::Lock lock(shared_->mutex);
    ++shared_->status.requests;
  }
  events_out->progress(not_begun());
  const auto priority = options.priority;
  const auto client = options.client;
  return scheduler_.submit(
      priority, client,
      std::make_unique<GenerationTask>(shared_, std::move(prompt), std::move(options), events_out));
}

void LocalModel::cancel(lsp::GenerationId id) {
  scheduler_.cancel(id);
}

ModelStatus LocalModel::status() const {
  const auto queue = scheduler_.sizes();
  const std::uint64_t parks = scheduler_.parks();
  const engine::Lock lock(shared_->mutex);
  ModelStatus status = shared_->status;
  status.queue = queue;
  status.parked = parks;
  status.waiting = std::accumulate(queue.begin(), queue.end(), std::size_t{0});
  if (status.state == ModelStatus::State::ready && status.failed_in_a_row > 0) {
    status.state = ModelStatus::State::failing;
  }
  if (runtime_) {
    status.memory = runtime_->memory();
    status.experts = runtime_->experts();
    status.gpu = runtime_->device_use();
    status.gpu_layers = runtime_->layers_on_devices();
    status.prefixes = runtime_->prefix_statistics();
  }
  status.prefill_speed = shared_->estimates.prefill_speed();
  status.completion_speed = shared_->estimates.completion_speed();
  status.decode_speed = shared_->estimates.decode_speed();
  return status;
}

void LocalModel::run() {
  std::shared_ptr<engine::Runtime> runtime;
  std::string failure;
  try {
    runtime = load();
  } catch (const std::exception& error) {
    failure = lsp::failure_text(error);
  }
  if (stop_) return;
  if (runtime) {
    shared_->runtime = runtime;
    shared_->sessions.emplace(runtime, sessions_kept);
    remember();
    lsp::GenerationProgress queued;
    scheduler_.notify_queued(queued);
  } else {
    scheduler_.close({failure, lsp::ModelError::Kind::unavailable});
  }
  if (!insist([&] { host_.post([this, runtime, failure] { loaded(runtime, failure); }); })) {
    ::kill(::getpid(), SIGTERM);  // nobody could be told that it is there
  }
  compute();
  if (runtime) keep();
  shared_->drafts.reset();
  scheduler_.alone([this] { shared_->sessions.reset(); });
}

Measured LocalModel::measured() const {
  const engine::Engine& engine = shared_->runtime->engine();
  return {engine.fingerprint(), engine.options().host().threads,
          static_cast<double>(engine.chunk_rows())};
}

// What was learnt when this model ran last, so that the first request has an estimate, too.
void LocalModel::remember() {
  const Measured of = measured();
  std::optional<Estimates> saved;
  try {
    if (!estimates_file_.empty()) saved = saved_estimates(estimates_file_, of);
  } catch (const std::exception& failed) {
    host_.log(
        lsp::LogLevel::info,
        estimates_file_.string() + " is damaged, and speeds are measured anew: " + failed.what());
  }
  const engine::Lock lock(shared_->mutex);
  shared_->estimates = saved ? std::move(*saved) : Estimates(of.rows_of_pass);
  kept_changes_ = shared_->estimates.changes();
}

// Whatever is still being written of what was known earlier may come later: it has lost a minute.
void LocalModel::keep() {
  if (estimates_file_.empty()) return;
  try {
    Estimates estimates;
    {
      const engine::Lock lock(shared_->mutex);
      estimates = shared_->estimates;
    }
    save_or_log(host_, estimates_file_, measured(), estimates);
  } catch (const std::bad_alloc&) {
    // The next one measures anew.
  }
}

// A process that is killed loses the last minute of what it learnt. No disk is waited for.
void LocalModel::keep_sometimes() {
  const auto now = Clock::now();
  if (estimates_file_.empty() || (kept_ && now - *kept_ < keep_every)) return;
  try {
    Estimates estimates;
    {
      const engine::Lock lock(shared_->mutex);
      if (shared_->estimates.changes() == kept_changes_) return;
      estimates = shared_->estimates;
    }
    kept_ = now;
    kept_changes_ = estimates.changes();
    host_.background([&host = host_, file = estimates_file_, of = measured(),
                      estimates = std::move(estimates)] { save_or_log(host, file, of, estimates); },
                     [] {});
  } catch (const std::bad_alloc&) {
    // Another time.
  }
}

// What a work throws is its own end. What comes out of here is memory that was out for too long to
// tell anybody.
void LocalModel::compute() noexcept {
  for (;;) {
    try {
      while (scheduler_.wait()) {
        take_gpu_if_wanted();
        take_parked_time();
        tell_waits();
        scheduler_.advance();
        keep_sometimes();
      }
      return;
    } catch (const std::exception& failed) {
      host_.log(lsp::LogLevel::error, "the computing thread could not tell how a request ended:");
      host_.log(lsp::LogLevel::error, failed.what());
      ::kill(::getpid(), SIGTERM);
    }
  }
}

void LocalModel::take_gpu_if_wanted() {
  if (!gpu_wanted_ || !shared_->runtime->take_devices()) return;
  if (!insist([&] {
        host_.post([this] {
          if (runtime_) tell_gpu_taken();
        });
      }))
    throw std::bad_alloc();
}

// What a step waited for while this model was parked is no part of its time, but of the times that
// are foretold.
void LocalModel::take_parked_time() {
  const auto parked = scheduler_.parked_for();
  if (parked == parked_for_) return;
  ++shared_->last_step;
  const engine::Lock lock(shared_->mutex);
  shared_->estimates.parked((parked - parked_for_).count());
  parked_for_ = parked;
}

// When somebody came or went, and a few times a second. What is most urgent waits meanwhile, so
// that many prompts are looked at a few at a time.
void LocalModel::tell_waits() {
  constexpr std::chrono::milliseconds every{250};
  constexpr std::chrono::milliseconds looking{5};
  if (scheduler_.size() < 2) return;
  const auto now = Clock::now();
  const std::uint64_t changes = scheduler_.changes();
  if (changes == told_changes_ && now - told_ < every) return;
  try {
    while (scheduler_.prepare_next() && Clock::now() - now < looking) {
    }
    scheduler_.tell_waits();
  } catch (const std::bad_alloc&) {
    // Nobody waits for this: another time.
  }
  told_ = now;
  told_changes_ = changes;
}

std::shared_ptr<engine::Runtime> LocalModel::load() {
  host_.log(lsp::LogLevel::info, "loading " + options_.model.string());
  const auto started = Clock::now();
  auto reported = started;
  const auto report = [&](const engine::LoadProgress& progress) {
    const auto now = Clock::now();
    {
      const engine::Lock lock(shared_->mutex);
      shared_->status.load = progress;
    }
    if (now - reported < load_report_every) return;
    reported = now;
    lsp::GenerationProgress loading;
    loading.phase = lsp::GenerationProgress::Phase::loading;
    loading.eta = load_eta(progress, now - started);
    scheduler_.notify_queued(loading);
  };
  auto runtime = engine::Runtime::load(options_, report, &stop_);
  const engine::Engine& engine = runtime->engine();

  const std::chrono::duration<double> took = Clock::now() - started;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", took.count());
  host_.log(lsp::LogLevel::info,
            "loaded " + engine.profile().name + " in " + seconds + ": " + engine.description());
  for (const auto& note : engine.notes()) host_.log(lsp::LogLevel::info, note);
  std::string chat_template = engine::read_template(options_.model);
  auto links = runtime->measure_links();
  std::string gpu_link = links.empty() ? "" : link_of(options_.devices[1].device);
  const engine::Lock lock(shared_->mutex);
  auto& status = shared_->status;
  status.state = ModelStatus::State::ready;
  status.name = engine.profile().name;
  status.device = engine.description();
  status.notes = engine.notes();
  status.links = std::move(links);
  status.gpu_link = std::move(gpu_link);
  status.context = engine.context();
  status.chat_template = std::move(chat_template);
  status.fim_order = daemon::describe(engine).profile.fim_order;
  status.drafts = engine.options().drafts;
  status.mtp = engine.has_mtp();
  return runtime;
}

void LocalModel::loaded(std::shared_ptr<const engine::Runtime> runtime, std::string error) {
  if (!load_error_.empty()) return;  // unloaded meanwhile
  if (!runtime) {
    host_.log(lsp::LogLevel::error, "the model cannot be loaded: " + error);
    return fail(error);
  }
  runtime_ = std::move(runtime);
  tell_gpu_taken();
  for (const auto& task : std::exchange(when_loaded_, {})) task(nullptr);
}

void LocalModel::fail(const std::string& error) {
  load_error_ = error;
  {
    const engine::Lock lock(shared_->mutex);
    shared_->status.state = ModelStatus::State::failed;
    shared_->status.error = error;
  }
  const lsp::ModelError failure{error, lsp::ModelError::Kind::unavailable};
  for (const auto& task : std::exchange(when_loaded_, {})) task(&failure);
}

// Never calls back before it returns.
void LocalModel::when_loaded(Loaded task) {
  if (!runtime_ && load_error_.empty()) {
    when_loaded_.push_back(std::move(task));
    return;
  }
  host_.post([this, task = std::move(task)] {
    const lsp::ModelError failure{load_error_, lsp::ModelError::Kind::unavailable};
    task(runtime_ ? nullptr : &failure);
  });
}

lsp::GenerationProgress LocalModel::not_begun() const {
  lsp::GenerationProgress progress;
  if (!runtime_) progress.phase = lsp::GenerationProgress::Phase::loading;
  return progress;
}

}  // namespace hearth::daemon
