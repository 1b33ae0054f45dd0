// A look at a configured server, without a daemon.
#pragma once

#include <string>

#include "daemon/remote/remote_model.hpp"

namespace hearth::daemon {

// Asks it for its models. What there is to say of it: "https://gpu.example.org/v1 answers, with the
// models a, b". Throws Error where it does not answer, refuses the key or has no such model.
std::string check_server(const RemoteOptions& options);

}  // namespace hearth::daemon
