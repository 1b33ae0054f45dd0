// What the computing thread advances for LocalModel: answers and prompts read ahead.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "daemon/models/estimate.hpp"
#include "daemon/models/event_coalescer.hpp"
#include "daemon/models/local.hpp"
#include "daemon/models/session_pool.hpp"
#include "engine/draft_session.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::daemon {

class GenerationTask;

// Shared between the computing thread and those that ask how it goes.
struct LocalModel::Shared {
  // Set by the computing thread before the first task, used by it alone.
  std::shared_ptr<engine::Runtime> runtime;
  std::optional<SessionPool> sessions;
  // While waits are told, one after another: hashes of how the prompts begin that will be read
  // before. The computing thread's, too.
  std::unordered_set<std::uint64_t> coming;
  std::uint64_t last_step = 0;  // counts steps of all tasks; the computing thread's as well
  // A small model that drafts, for one answer at a time, and that answer. The same thread's.
  std::unique_ptr<engine::DraftSession> drafts;
  GenerationTask* drafted = nullptr;

  engine::Mutex mutex;
  Estimates estimates HEARTH_GUARDED_BY(mutex);
  ModelStatus status HEARTH_GUARDED_BY(mutex);
};

class GenerationTask : public Task {
 public:
  GenerationTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
                 lsp::GenerateOptions options, std::shared_ptr<EventCoalescer> events_out);
  ~GenerationTask() override;
  GenerationTask(const GenerationTask&) = delete;
  GenerationTask& operator=(const GenerationTask&) = delete;

  void stop_drafts();  // of Shared::drafts; on the computing thread

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;
  void waiting(const lsp::GenerationProgress& progress) override;
  void prepare() override;
  std::optional<Forecast> waits(const Wait& wait) override;

 private:
  void begin();
  void make_request();
  void tell_left_out();
  void expect_cached();
  std::chrono::duration<double> since_last_step(std::chrono::steady_clock::time_point started);
  void tell_probabilities();
  void report();
  void finish(std::span<const engine::TokenId> tokens, std::string_view text);
  // Else a completion, of which other speeds and lengths are known.
  bool chat() const { return prompt_.kind != lsp::Prompt::Kind::fill_in_the_middle; }
  Work work_left() const;
  lsp::GenerationProgress progress(const Wait& wait) const;

  std::shared_ptr<LocalModel::Shared> shared_;
  lsp::Prompt prompt_;
  lsp::GenerateOptions options_;
  std::shared_ptr<EventCoalescer> events_out_;
  std::optional<engine::GenerationRequest> request_;  // once it is prepared, until it begins
  std::size_t turns_left_out_ = 0;                    // of the conversation, with it
  // Tokens up to each of the prompt's boundaries, and their hash.
  std::vector<std::pair<std::size_t, std::uint64_t>> beginnings_;
  std::size_t cached_ = 0;        // of its prompt, when it was looked at last
  std::size_t expected_ = 0;      // the same when it begins
  lsp::GenerationProgress told_;  // while it waits
  // The first wait that was foretold, in seconds, and when.
  std::optional<std::pair<double, std::chrono::steady_clock::time_point>> foretold_;
  PassTimer passes_;
  std::optional<double> speed_before_;  // of writing, when its first token was written
  std::optional<SessionPool::Lease> lease_;
  bool computing_ = false;  // the prompt was accepted
  std::optional<engine::Generation> generation_;
  std::string text_;           // all of it, what an earlier run wrote too
  std::string thought_;        // likewise
  std::size_t delivered_ = 0;  // tokens of the answer
  std::chrono::duration<double> prompt_time_{0};
  std::chrono::duration<double> answer_time_{0};
  std::chrono::duration<double> written_in_{0};  // the answer, with what is done between its steps
  std::uint64_t last_step_ = 0;                  // of this task, and when it ended
  std::chrono::steady_clock::time_point last_ended_;
};

// Reads a prompt, so that its state is there when it is asked for.
class PrefillTask : public Task {
 public:
  PrefillTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
              std::function<void(lsp::Result<lsp::Estimate>)> done);

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;
  void prepare() override;
  std::optional<Forecast> waits(const Wait& wait) override;

 private:
  std::shared_ptr<LocalModel::Shared> shared_;
  lsp::Prompt prompt_;
  std::function<void(lsp::Result<lsp::Estimate>)> done_;
  engine::TokenPrompt tokens_;
  std::size_t known_ = 0;  // of them, when they were looked at last
  PassTimer passes_;
  bool computing_ = false;  // the prompt was accepted
  std::optional<SessionPool::Lease> lease_;
  std::optional<std::size_t> cached_;  // once the session is synced
};

}  // namespace hearth::daemon
