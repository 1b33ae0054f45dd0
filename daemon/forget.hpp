// What `hearth forget` removes of what a person asked: records of jobs, answers' files, kept states
// of prompts, the chat's history. The daemon does it while it runs, else the command itself.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/control.hpp"
#include "daemon/engines.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/prompt_trust_file.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/store.hpp"

namespace hearth::daemon {

struct ForgetRequest {
  bool all = false;
  std::string folder;  // absolute: what belongs to this workspace
  // Neither: nothing is removed, the answer says what there is.
  bool removes() const { return all || !folder.empty(); }
};
// As a control connection has it: {"request": "forget", "folder": "/a", "all": false}.
nlohmann::json to_message(const ForgetRequest& request);
// Throws Error for a message of another form.
ForgetRequest parse_forget(const nlohmann::json& message);

// Whether a job of the workspace `uri`, a folder's or a document's, is one of `folder`.
bool belongs_to(std::string_view uri, const std::string& folder);

// What both of the following answer:
//   {"jobs": [{"workspace": URI, "count": N}…], "answers": N, "prompts": N, "promptBytes": N,
//    "chat": bool, "setAside": N, "trusted": N}
// "trusted": folders whose team's prompts were confirmed. With the jobs and files that were removed
// or, where the request removes nothing, are there.

// Replies once nothing of it is left on the disk. All but the request outlive the reply.
void forget_in_daemon(const ForgetRequest& request, const Paths& paths, lsp::Jobs& jobs,
                      lsp::JobStore& store, Engines& engines, PromptTrustFile& trust,
                      const ControlReply& reply);
// For a process that holds the daemon's lock. Throws Error.
nlohmann::json forget_in_files(const ForgetRequest& request, const Paths& paths);

}  // namespace hearth::daemon
