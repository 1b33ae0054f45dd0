// Who answers `hearth generate` and `hearth chat`: the daemon's model, where a daemon runs the
// checkpoint that is meant, else an engine in this process. Both give the same text for the same
// prompt and seed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/transport/control_client.hpp"
#include "engine/engine.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

inline constexpr const char* thinking_help =
    "Whether a model that can think does: on or off (default: as configured)";
inline constexpr const char* local_help =
    "Load a model in this process, even if a daemon runs; says before what that costs";

struct AnswererOptions {
  std::string model;   // --model
  bool local = false;  // in this process, whether a daemon runs or not
  std::string trace;   // a file for the routing, which only an engine in this process records
  std::string draft;   // a small model's directory, whose drafts only such an engine verifies
  bool quiet = false;  // nothing on stderr
};

struct AnsweringModel {
  std::string name;
  std::string device;       // what it runs on, in words
  std::string system_chat;  // its own system message
  std::size_t context = 0;  // tokens of a prompt and its answer
  bool thinking = false;    // it may think before it answers
};

struct AnswerOutcome {
  std::string text;
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;
  std::size_t thought_tokens = 0;
  bool thought_cut = false;  // at the budget
  std::string thought;       // what a daemon's answer that was interrupted thought is not known
  std::size_t answer_tokens = 0;
  std::chrono::duration<double> prompt_time{0};
  std::chrono::duration<double> answer_time{0};  // the thought's too
  bool interrupted = false;                      // by Ctrl-C
  std::optional<lsp::FinishReason> finish;       // empty where it was interrupted
  std::vector<std::int32_t> generated;           // as lsp::Answer has it; empty there
  std::string by = {};                           // as lsp::Answer has it
  // Draft tokens that were verified, and how many were right, where a small model made some.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> drafts;
};

// Its methods throw an exception that says what went wrong.
class Answerer {
 public:
  struct Events {
    std::function<void(const lsp::GenerationProgress&)> on_progress;
    std::function<void(const std::string&)> on_text;  // what became visible
  };

  virtual ~Answerer() = default;
  virtual const AnsweringModel& model() const = 0;
  // The prompt's tokens, with the template's.
  virtual std::size_t count_tokens(const lsp::Prompt& prompt) = 0;
  // The outcome's text is the on_text pieces joined.
  virtual AnswerOutcome answer(const lsp::Prompt& prompt, const lsp::GenerateOptions& options,
                               const Events& events, const std::atomic<bool>& interrupt) = 0;
};

// Whether two directories are one checkpoint.
bool same_model(const std::filesystem::path& one, const std::filesystem::path& other);

// `draft`: of a small model that drafts for it.
std::unique_ptr<Answerer> local_answerer(const engine::EngineOptions& options,
                                         const std::optional<engine::EngineOptions>& draft,
                                         bool show_progress);
// `model`: the checkpoint that every daemon asked later has to run, too.
std::unique_ptr<Answerer> daemon_answerer(Connected control, std::filesystem::path model,
                                          bool show_progress);

// What the configuration says of thoughts, and over it `chosen`: "on", "off" or nothing.
void choose_thinking(lsp::GenerateOptions& options, const std::string& chosen);

// Where a model is loaded although a daemon runs, or because of `local`, says on stderr what that
// costs before it does it. Throws Error, and engine::Error.
std::unique_ptr<Answerer> choose_answerer(const AnswererOptions& options);

// Streams the answer to stdout. `show_progress`: tells on stderr, in a line that goes again, how
// far it is while nothing is to be seen. Ctrl-C ends the answer, not the process. What it throws
// comes behind the end of the line that was begun.
AnswerOutcome stream_answer(Answerer& answerer, const lsp::Prompt& prompt,
                            const lsp::GenerateOptions& options, bool show_progress);

std::string show_outcome(const AnswerOutcome& outcome);  // a line of figures, and what was cut

}  // namespace hearth::daemon
