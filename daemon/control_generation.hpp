// The requests of a control connection that are put to the model.
//
//   → {"request": "describe"}
//   ← {"result": {"name": "ember", "device": "…", "systemChat": "…", "contextTokens": 4096,
//              "thinking": false}}
//   → {"request": "estimate", "prompt": …}
//   ← {"result": {"promptTokens": 812, "uncachedTokens": 40}}
//   → {"request": "generate", "prompt": …, "options": …}
//   ← {"progress": …} …  {"text": "…"} …  {"result": …}
// daemon/transport/generation_json.hpp says what stands in them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/control.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Answered once the model is there; `device` outlives it.
void describe(lsp::Model& model, const std::function<std::string()>& device,
              const ControlReply& reply);

// These throw lsp::InvalidParams.
void estimate(lsp::Model& model, const nlohmann::json& message, const ControlReply& reply);
// An explicit request of `client`; requests of different ones take turns. `used` is called at its
// beginning and its end.
std::unique_ptr<ControlWork> generate(lsp::Model& model, const nlohmann::json& message,
                                      std::uint64_t client, const std::function<void()>& used,
                                      const ControlReply& reply);

}  // namespace hearth::daemon
