// From a prompt that was planned to the request that a job makes of the model.
#pragma once

#include <string>
#include <variant>

#include "lsp/actions/actions.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// About a place in `snapshot`, or about none where it is null. A sentence: why it cannot be asked.
std::variant<Request, std::string> planned_request(const Session& session, const Action& action,
                                                   const SnapshotPtr& snapshot, Planned planned);

}  // namespace hearth::lsp
