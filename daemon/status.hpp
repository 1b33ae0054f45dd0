// What `hearth status` and `hearth jobs` say: made as JSON in the daemon, laid out for people in
// the client.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/local_model.hpp"
#include "lsp/jobs.hpp"

namespace hearth::daemon {

nlohmann::json to_json(const ModelStatus& status);
nlohmann::json to_json(const lsp::Job& job);  // without its text

std::string show_status(const nlohmann::json& status);
std::string show_jobs(const nlohmann::json& jobs);

}  // namespace hearth::daemon
