// What a request for an inline completion says beside its place.
#pragma once

#include <optional>
#include <string>

#include "lsp/protocol/json.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// The item selected in a client's popup, which a completion has to begin with.
struct Hint {
  std::string text;
  Range range;
};

// Of the params' selectedCompletionInfo. One that cannot be read, or that takes the place of more
// than one line's text, is none: the request is still about the cursor.
std::optional<Hint> read_hint(const Json& params);

// Whether nobody asked for it by hand.
bool is_automatic(const Json& params);

}  // namespace hearth::lsp
