// What the configuration asks of the engine.
#pragma once

#include <filesystem>

#include "daemon/config.hpp"
#include "engine/engine.hpp"

namespace hearth::daemon {

// `state`: a private directory for what is kept between two starts; empty: nothing is.
engine::EngineOptions engine_options(const Config& config, const std::filesystem::path& model,
                                     const std::filesystem::path& state);

}  // namespace hearth::daemon
