// lsp::Model over the local engine. One thread owns all model state: it loads, then computes what
// the scheduler says; answers go back through the Host. Of two on the same cores one parks the
// other, so that never both compute.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/models/estimate_file.hpp"
#include "daemon/models/scheduler.hpp"
#include "daemon/models/token_model.hpp"
#include "engine/engine.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// What the model has been doing; a copy for `hearth status`.
struct ModelStatus {
  // failing: it was loaded, but the last requests could not be computed (a disk that went away).
  // failed: it could not be loaded.
  enum class State : std::uint8_t { loading, ready, failing, failed };
  State state = State::loading;
  std::string directory;
  std::string error;  // failed: why; failing: why the last request could not be computed
  engine::LoadProgress load;
  // Once ready:
  std::string name;
  std::string device;
  std::vector<std::string> notes;
  engine::MemoryPlan memory;
  engine::ExpertStatus experts;
  engine::DeviceUse gpu{};
  int gpu_layers = 0;                                    // of the model, there
  std::vector<std::optional<kernels::LinkSpeed>> links;  // of the GPUs, as they were at the start
  std::string gpu_link;                                  // of the first: "PCIe 4x16"
  std::int64_t context = 0;
  std::string chat_template;  // the checkpoint's own text
  lsp::FimOrder fim_order = lsp::FimOrder::prefix_first;
  std::size_t drafts = 0;  // draft tokens that a pass verifies at most
  bool mtp = false;        // whether the MTP head makes some of them
  std::string drafting;    // the small model that makes some; empty: none does
  // Counted since the start:
  std::uint64_t requests = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t failed = 0;
  std::uint64_t failed_in_a_row = 0;  // since one was computed; none that was at fault itself
  std::uint64_t prompt_tokens = 0;    // asked for
  std::uint64_t cached_tokens = 0;    // of them, not computed again
  std::uint64_t answer_tokens = 0;    // written
  engine::DecodeCounts decoded;       // how, draft tokens included
  std::uint64_t tokens_computed = 0;  // rows that went through all layers
  std::uint64_t steps = 0;            // pieces of work, interrupted ones too
  std::uint64_t parked = 0;           // times that work waited for another model on these cores
  // Now:
  std::size_t waiting = 0;             // requests that compute, wait or are parked
  std::array<std::size_t, 3> queue{};  // the same by lsp::Priority
  std::size_t sessions = 0;
  std::uint64_t session_bytes = 0;         // KV and states of sequences under way
  engine::PrefixStatistics prefixes;       // what prompts go back to
  std::optional<double> prefill_speed;     // tokens a second
  std::optional<double> completion_speed;  // the same of completions' prompts only
  std::optional<double> decode_speed;
};

// Methods of lsp::Model on the Host's thread. Callbacks are not called once it is destroyed.
class LocalModel : public TokenModel {
 public:
  // Begins to load at once. The host outlives it; host.post's tasks that it left behind must not
  // run after its end. `other`: computes on the same cores, and is parked for as long as this one
  // has something to compute; outlives it.
  LocalModel(lsp::Host& host, engine::EngineOptions options, LocalModel* other = nullptr);
  ~LocalModel() override;

  void describe(lsp::Callback<lsp::ModelDescription> done) override;
  lsp::LoadingProgress loading() const override;
  void count_tokens(std::vector<std::string> texts,
                    lsp::Callback<std::vector<std::int64_t>> done) override;
  void tokenize(std::string text, bool special,
                lsp::Callback<std::vector<std::int32_t>> done) override;
  void token_bytes(std::vector<std::int32_t> tokens,
                   lsp::Callback<std::vector<std::string>> done) override;
  void measure(lsp::Prompt prompt, lsp::GenerateOptions options,
               lsp::Callback<std::int64_t> done) override;
  void estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  void inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
               lsp::Callback<std::vector<lsp::PromptPiece>> done) override;
  std::optional<std::chrono::milliseconds> usual_time(
      lsp::Prompt::Kind kind, std::int64_t prompt_tokens,
      const lsp::GenerateOptions& options) const override;
  lsp::GenerationId prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override;
  void cancel(lsp::GenerationId id) override;

  // Drops what is kept of prompts to go on from, in memory and on the disk; what is computed goes
  // on. False: no model is loaded, nothing is done, and `done` is not called.
  bool forget_prompts(std::function<void()> done);

  // Gives the memory of GPUs back, at the end of the present step, until somebody asks for
  // something or take_gpu is called. Nothing where no model is loaded.
  void release_gpu();
  void take_gpu();
  // `taken` is called whenever a GPU's memory was taken: once the model is loaded, and later.
  void when_gpu_taken(std::function<void()> taken);

  // Nothing is computed any more, from the end of the present step on. Before the end: what was
  // written by then is delivered, and what is kept of an answer's state is not ahead of it.
  void hold();

  // Another model, loaded and in memory, that drafts for this one from now on, in this one's steps:
  // it is computed nowhere else meanwhile, as this is its `other`. Null: none does. What it cannot
  // draft for is logged as a warning, and answered without it.
  void draft_with(std::shared_ptr<engine::Runtime> small);
  // This model for that; null unless it is loaded.
  std::shared_ptr<engine::Runtime> for_drafts() const;

  // Gives its memory back: every request ends, and all that is asked from then on is answered with
  // `reason`, as if it could not be loaded. Waits for the end of the present step.
  void unload(const std::string& reason);

  ModelStatus status() const;  // on the Host's thread

  // What the computing thread has and its works share; defined beside them (generation_task.hpp).
  struct Shared;

 private:
  // Called once the model is there or failed to load.
  using Loaded = std::function<void(const lsp::ModelError*)>;

  // Looks at the engine in the background, once it is loaded; what that throws is the answer.
  template <typename T>
  void look(std::function<T(const engine::Engine&)> work, lsp::Callback<T> done);
  void run();  // the computing thread
  void compute() noexcept;
  void take_gpu_if_wanted();
  void tell_gpu_taken();
  void take_parked_time();
  void tell_waits();
  Measured measured() const;
  void remember();
  void keep();
  void keep_sometimes();
  void end_thread(const lsp::ModelError& reason);
  void fail(const std::string& error);
  std::shared_ptr<engine::Runtime> load();
  void loaded(std::shared_ptr<const engine::Runtime> runtime, std::string error);
  void when_loaded(Loaded task);
  lsp::GenerationProgress not_begun() const;

  lsp::Host& host_;
  engine::EngineOptions options_;
  std::filesystem::path estimates_file_;  // beside the engine's own state; empty: there is none
  Scheduler scheduler_;
  std::shared_ptr<Shared> shared_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();

  // On the Host's thread.
  std::shared_ptr<const engine::Runtime> runtime_;  // to look at; see Shared
  std::string load_error_;
  std::vector<Loaded> when_loaded_;
  std::function<void()> gpu_taken_;

  // On the computing thread: when those who wait were told last, and of which changes.
  std::chrono::steady_clock::time_point told_;
  std::uint64_t told_changes_ = 0;
  // The same of what was learnt: when it was written down last, and which of its changes.
  std::optional<std::chrono::steady_clock::time_point> kept_;
  std::uint64_t kept_changes_ = 0;
  std::chrono::duration<double> parked_for_{0};  // as far as that was looked at

  std::atomic<bool> gpu_wanted_{false};  // somebody has asked for something since it was given back
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace hearth::daemon
