// Waiting for a daemon that loads its model.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/transport/control_client.hpp"

namespace hearth::daemon {

// Of a status, the part of this machine's model or, where there is none, the server's that answers,
// with a model's states and "error", and the server's own state "away".
nlohmann::json answering_engine(const nlohmann::json& status);

// Until the model is loaded or has failed to be, or its server is found or away; its part of
// the status, as above. Shows on stderr how far it
// is, where `show_progress`. Throws Error.
nlohmann::json wait_for_model(Connected& control, bool show_progress);

}  // namespace hearth::daemon
