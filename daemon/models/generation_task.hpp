// What the computing thread advances for LocalModel: answers and prompts read ahead.
#pragma once

#include <memory>
#include <optional>

#include "daemon/models/event_coalescer.hpp"
#include "daemon/models/local.hpp"
#include "daemon/models/session_pool.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::daemon {

// Shared between the computing thread and those that ask how it goes.
struct LocalModel::Shared {
  // Set by the computing thread before the first task, used by it alone.
  std::shared_ptr<engine::Runtime> runtime;
  std::optional<SessionPool> sessions;

  engine::Mutex mutex;
  Speeds speeds HEARTH_GUARDED_BY(mutex);
  ModelStatus status HEARTH_GUARDED_BY(mutex);
};

class GenerationTask : public Task {
 public:
  GenerationTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
                 lsp::GenerateOptions options, std::shared_ptr<EventCoalescer> events_out);

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;
  void waiting(const lsp::GenerationProgress& progress) override;

 private:
  void begin();
  void report();
  void finish();

  std::shared_ptr<LocalModel::Shared> shared_;
  lsp::Prompt prompt_;
  lsp::GenerateOptions options_;
  std::shared_ptr<EventCoalescer> events_out_;
  std::optional<SessionPool::Lease> lease_;
  bool computing_ = false;  // the prompt was accepted
  std::optional<engine::Generation> generation_;
  std::string text_;
  std::chrono::duration<double> prompt_time_{0};
  std::chrono::duration<double> answer_time_{0};
};

// Reads a prompt, so that its state is there when it is asked for.
class PrefillTask : public Task {
 public:
  PrefillTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
              std::function<void(lsp::Result<lsp::Estimate>)> done);

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;

 private:
  std::shared_ptr<LocalModel::Shared> shared_;
  lsp::Prompt prompt_;
  std::function<void(lsp::Result<lsp::Estimate>)> done_;
  engine::TokenPrompt tokens_;
  bool computing_ = false;  // the prompt was accepted
  std::optional<SessionPool::Lease> lease_;
  std::optional<std::size_t> cached_;  // once the session is synced
};

}  // namespace hearth::daemon
