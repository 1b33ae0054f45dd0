// An engine in this process, for commands that need no daemon: loading with a progress line.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "engine/engine.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {

// As the configuration and the environment say, unless `override` is not empty.
std::filesystem::path model_directory(const std::string& override);

// What the configuration says of the engine, for the checkpoint in `model` (as above).
engine::EngineOptions configured_options(const std::string& model);

// The same of a small model in `draft` whose drafts the one that `large` is of verifies. Throws
// Error, and engine::Error where its tokens are others.
engine::EngineOptions draft_options(const engine::EngineOptions& large, const std::string& draft);

// Throws Error where the checkpoint has none: before a large one is loaded for nothing.
void require_tokenizer(const std::filesystem::path& model);

// Shows on stderr how far it is, where `show_progress`. Throws Error.
std::shared_ptr<engine::Runtime> load_with_progress(const engine::EngineOptions& options,
                                                    bool show_progress);

// In words: "48 layers of 512 experts, FP8, MTP head, context 262144".
std::string show_checkpoint(const engine::CheckpointShape& shape);

std::string quoted_bytes(std::string_view bytes);  // a token's bytes, printable

}  // namespace hearth::daemon
