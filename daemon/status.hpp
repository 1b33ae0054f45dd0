// What `hearth status` and `hearth jobs` say: made as JSON in the daemon, laid out for people in
// the client.
#pragma once

#include <chrono>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "daemon/models/local.hpp"
#include "lsp/context/index.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/support/options.hpp"

namespace hearth::daemon {

nlohmann::json to_json(const ModelStatus& status);
// "gpu" of it: whether one is used, and how fast its link was at the start.
nlohmann::json gpu_json(const ModelStatus& status);
// "25.1 there and 26.0 back from page-locked memory, 7.9 and 8.1 from other", in GB/s.
std::string show_link(const kernels::LinkSpeed& link);
nlohmann::json to_json(const lsp::InlineCounts& counts);
nlohmann::json to_json(const lsp::IndexStatistics& index);
// "inline" of the status: what inline completion does on this model, and what became of it.
nlohmann::json inline_status(const ModelStatus& model, std::chrono::milliseconds max_read,
                             const lsp::InlineCounts& counts);
// "inlineModel" of the status: the second model, of inline.model. `refusal`: why it does not serve;
// empty: it does. With the bytes that it takes, and those of experts that the other has less.
nlohmann::json inline_model_status(const ModelStatus& model, const std::string& refusal,
                                   std::uint64_t bytes, std::uint64_t expert_bytes);
// The same of one that is not there.
nlohmann::json inline_model_refused(const std::string& refusal);
nlohmann::json to_json(const lsp::Job& job);  // without its text
nlohmann::json jobs_json(const lsp::Jobs& jobs);
// What it means that jobs cannot be written down for this reason, and what to do; empty for none.
std::string jobs_notice(const std::string& failure);

// One subject a line, broken at blanks so that none is longer than `columns` characters; what
// follows a break stands below the text, not below its label.
std::string show_status(const nlohmann::json& status, std::size_t columns);
std::string show_jobs(const nlohmann::json& jobs);
std::string show_job(const nlohmann::json& job);  // with its "text"
std::string show_thought(const nlohmann::json& job);

// A job's prompt: {"job", "title", "tokens", "cachedTokens", "text", "pieces": [{"from", "tokens",
// "text"}]}, "from" as a segment's provenance or "template"; and its text for a terminal.
nlohmann::json prompt_json(const lsp::Job& job, std::span<const lsp::PromptPiece> pieces);
std::string show_prompt(const nlohmann::json& prompt);

}  // namespace hearth::daemon
