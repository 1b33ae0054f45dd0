// Who wrote an answer: the name of an engine of this machine under what it writes, where another
// one might have written it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "daemon/models/local.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Answer::by of an engine of this machine; empty before it is loaded.
std::string signature_of(const ModelStatus& status);
bool is_signed_here(std::string_view by);  // by one of this machine's

// The same events, with by() under progress and answer where they are not signed. It is asked until
// it says something.
lsp::GenerationEvents signed_by(lsp::GenerationEvents events, std::function<std::string()> by);

}  // namespace hearth::daemon
