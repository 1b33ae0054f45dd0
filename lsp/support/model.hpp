// The model as the language server needs it. The daemon supplies one: the local engine, and later a
// remote server; tests supply a scripted one. Nothing here knows how tokens are made.
//
// Every call returns at once; its answer comes later through a callback on the thread that the
// Host's post() runs on, or an error does. A callback is called exactly once, except on_progress
// and on_text, and never after on_done.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lsp/prompt.hpp"

namespace hearth::lsp {

struct ModelError {
  std::string message;  // for people
  bool cancelled = false;
};
template <typename T>
using Result = std::variant<T, ModelError>;
template <typename T>
using Callback = std::function<void(Result<T>)>;

// What this model was trained to read; the wording of prompts follows it.
struct ModelProfile {
  std::string name;
  std::string system_chat;
  std::map<std::string, std::string> tasks;  // "explain" → "Explain what this code does."
  std::int64_t context_tokens = 0;           // prompt and answer together
  std::int64_t fim_prefix_tokens = 0;
  std::int64_t fim_suffix_tokens = 0;
  bool surroundings = true;  // imports and outline belong beside a selection
};

// What an implementation can do; a remote server will have fewer.
struct Capabilities {
  bool exact_token_counts = false;  // else counts are estimates
  bool parking = false;             // a running answer makes room for a more urgent one at once
  bool prefix_state = false;        // what was read before is not read again
};

struct ModelDescription {
  ModelProfile profile;
  Capabilities capabilities;
};

enum class Priority : std::uint8_t { explicit_request, inline_completion, background };

struct GenerateOptions {
  Priority priority = Priority::explicit_request;
  std::int64_t max_tokens = 256;
  std::vector<std::string> stop_strings;
};

struct GenerationProgress {
  enum class Phase : std::uint8_t { loading, queued, reading, writing };
  Phase phase = Phase::queued;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, not read again
  double prompt_done = 0;          // tokens of the prompt behind us, cached ones too
  std::int64_t answer_tokens = 0;
  std::optional<std::chrono::milliseconds> eta;  // until done at the measured speed; empty: unknown
};

enum class FinishReason : std::uint8_t { stop, length, context_full };

struct Answer {
  std::string text;  // all of it; equals the on_text pieces joined
  FinishReason finish = FinishReason::stop;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t answer_tokens = 0;
  std::chrono::milliseconds prompt_time{0};
  std::chrono::milliseconds answer_time{0};
};

struct Estimate {
  std::int64_t prompt_tokens = 0;
  std::int64_t uncached_tokens = 0;
  std::optional<std::chrono::milliseconds> first_token;  // empty: no speed measured yet
};

struct GenerationEvents {
  std::function<void(const GenerationProgress&)> on_progress;  // may be empty
  std::function<void(std::string)> on_text;                    // may be empty
  Callback<Answer> on_done;
};

using GenerationId = std::uint64_t;  // from 1

class Model {
 public:
  virtual ~Model() = default;
  // Answered once the model is loaded; the error says why it cannot be.
  virtual void describe(Callback<ModelDescription> done) = 0;
  // One count per text.
  virtual void count_tokens(std::vector<std::string> texts,
                            Callback<std::vector<std::int64_t>> done) = 0;
  virtual void estimate(Prompt prompt, Callback<Estimate> done) = 0;
  // Reads a prompt ahead of need, at background priority; yields to everything else.
  virtual GenerationId prefill(Prompt prompt, Callback<Estimate> done) = 0;
  virtual GenerationId generate(Prompt prompt, GenerateOptions options,
                                GenerationEvents events) = 0;
  // The computation stops; on_done comes with `cancelled`. Unknown ids are ignored.
  virtual void cancel(GenerationId id) = 0;
};

}  // namespace hearth::lsp
