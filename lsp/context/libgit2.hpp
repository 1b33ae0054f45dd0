// libgit2, started once for the life of the process, and the name that git gives to a text.
#pragma once

#include <string>
#include <string_view>

namespace hearth::lsp {

// Any thread. Before any other call of the library.
void start_libgit2();
// SHA-1 as git computes it, which detects the known ways to make two texts with the same: 40
// hexadecimal digits. Any thread. Throws std::runtime_error where the library refuses.
std::string blob_hash(std::string_view text);

}  // namespace hearth::lsp
