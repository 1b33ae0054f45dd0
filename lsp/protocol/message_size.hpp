// Which messages of a client may be large: those that bring a document. All others are refused
// before their bytes are kept, in answer to their id wherever that stands in them.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "lsp/protocol/wire.hpp"

namespace hearth::lsp {

// A MessageReader::SizeCheck for what clients send.
std::unique_ptr<BodyRefusal> refuse_if_too_large(std::string_view beginning, std::size_t length);

}  // namespace hearth::lsp
