// What the computing thread advances for LocalModel: answers and prompts read ahead.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "daemon/delivery.hpp"
#include "daemon/local_model.hpp"
#include "daemon/session_pool.hpp"

namespace hearth::daemon {

// Shared between the computing thread and those that ask how it goes.
struct LocalModel::Engine {
  // Set by the computing thread before the first work, used by it alone.
  std::shared_ptr<const engine::Engine> engine;
  std::optional<SessionPool> sessions;

  std::mutex mutex;
  Speeds speeds;
  ModelStatus status;
};

class GenerationWork : public Work {
 public:
  GenerationWork(std::shared_ptr<LocalModel::Engine> shared, lsp::Prompt prompt,
                 lsp::GenerateOptions options, std::shared_ptr<Delivery> delivery);

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;
  void waiting(const lsp::GenerationProgress& progress) override;

 private:
  void begin();
  void report();
  void finish();

  std::shared_ptr<LocalModel::Engine> shared_;
  lsp::Prompt prompt_;
  lsp::GenerateOptions options_;
  std::shared_ptr<Delivery> delivery_;
  std::optional<SessionPool::Lease> lease_;
  std::optional<engine::Generation> generation_;
  std::string text_;
  std::chrono::duration<double> prompt_time_{0};
  std::chrono::duration<double> answer_time_{0};
};

// Reads a prompt, so that its state is there when it is asked for.
class PrefillWork : public Work {
 public:
  PrefillWork(std::shared_ptr<LocalModel::Engine> shared, lsp::Prompt prompt,
              std::function<void(lsp::Result<lsp::Estimate>)> done);

  Step step(const std::atomic<bool>& interrupt) override;
  void abandon(const lsp::ModelError& error) override;

 private:
  std::shared_ptr<LocalModel::Engine> shared_;
  lsp::Prompt prompt_;
  std::function<void(lsp::Result<lsp::Estimate>)> done_;
  engine::TokenPrompt tokens_;
  std::optional<SessionPool::Lease> lease_;
  std::optional<std::size_t> cached_;  // once the session is synced
};

}  // namespace hearth::daemon
