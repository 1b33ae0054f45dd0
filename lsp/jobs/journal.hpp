// Jobs as they are written down. Pure functions; what is read is untrusted, as a file may be
// damaged.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lsp/jobs/job.hpp"
#include "lsp/jobs/store.hpp"

namespace hearth::lsp {

// Without the tokens that are written already, which are the job's.
void to_json(nlohmann::json& json, const Request& request);
// Throws a std::exception that says what is wrong on a value of another form.
void from_json(const nlohmann::json& json, Request& request);

std::string request_text(const Request& request);
std::string standing_text(const Job& job);
JobRecord record_of(const Job& job);
// Throws a std::exception that says what is wrong.
Job read_record(JobRecord record);

}  // namespace hearth::lsp
