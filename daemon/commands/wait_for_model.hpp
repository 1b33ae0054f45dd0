// Waiting for a daemon that loads its model.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/transport/control_client.hpp"

namespace hearth::daemon {

// Until the model is loaded or has failed to be; its part of the status. Shows on stderr how far it
// is, where `show_progress`. Throws Error.
nlohmann::json wait_for_model(Connected& control, bool show_progress);

}  // namespace hearth::daemon
