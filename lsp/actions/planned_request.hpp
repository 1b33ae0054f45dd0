// From a prompt that was planned to the request that a job makes of the model.
#pragma once

#include <span>
#include <string>
#include <variant>

#include "lsp/actions/actions.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// About a place in `snapshot`, or about none where it is null. `attached`: what else code that is
// asked for may change, as also_changed() has it. A sentence: why it cannot be asked.
std::variant<Request, std::string> planned_request(const Session& session, const Action& action,
                                                   const SnapshotPtr& snapshot, Planned planned,
                                                   std::span<const PinnedFile> attached = {});

}  // namespace hearth::lsp
