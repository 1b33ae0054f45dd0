// An engine in this process, for commands that need no daemon: loading with a progress line, and
// one answer streamed to stdout.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/engine.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {

// As the configuration and the environment say, unless `override` is not empty.
std::filesystem::path model_directory(const std::string& override);

// What the configuration says of the engine, for the checkpoint in `model` (as above).
engine::EngineOptions configured_options(const std::string& model);

// Throws Error where the checkpoint has none: before a large one is loaded for nothing.
void require_tokenizer(const std::filesystem::path& model);

// Shows on stderr how far it is, where `show_progress`. Throws Error.
std::shared_ptr<engine::Runtime> load_with_progress(const engine::EngineOptions& options,
                                                    bool show_progress);

// In words: "48 layers of 512 experts, FP8, MTP head, context 262144".
std::string show_checkpoint(const engine::CheckpointShape& shape);

struct Outcome {
  std::string text;
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;
  std::size_t thought_tokens = 0;
  bool thought_cut = false;  // at the budget
  std::size_t answer_tokens = 0;
  std::chrono::duration<double> prompt_time{0};
  std::chrono::duration<double> answer_time{0};  // the thought's too
  bool interrupted = false;                      // by Ctrl-C
  std::optional<engine::StopReason> reason;      // empty where it was interrupted
};

// Lets a thinking model think, for as long as the configuration says.
void set_thinking(engine::GenerationRequest& request, const engine::Profile& profile);

// Streams the answer to stdout. `show_progress`: tells on stderr, in a line that goes again, how
// far a thought is. Ctrl-C ends the answer, not the process.
Outcome answer(engine::Session& session, engine::GenerationRequest request, bool show_progress);

std::string show_outcome(const Outcome& outcome);  // a line of figures, and what was cut
std::string quoted_bytes(std::string_view bytes);  // a token's bytes, printable

}  // namespace hearth::daemon
