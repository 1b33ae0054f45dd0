// What requests of all endpoints say of how an answer is written: how long, how it is drawn, where
// it ends.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/serve/api.hpp"
#include "daemon/serve/body.hpp"

namespace hearth::daemon {

// With the priority and the model's recommended sampling, where the body says nothing else. Throws
// ApiError; also for members that would change the answer and cannot be heeded here.
lsp::GenerateOptions read_options(const nlohmann::json& body, const ApiOptions& options,
                                  std::uint64_t connection);

}  // namespace hearth::daemon
