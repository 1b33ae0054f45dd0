// Lines of code that look like secrets: keys and passwords that somebody wrote into a source file.
// They are taken out of what is shown beside the code that a person asks about. Which files hold
// nothing but secrets is source_path.hpp's.
#pragma once

#include <string>
#include <string_view>

namespace hearth::lsp {

// A token with a well-known beginning (AKIA…, ghp_…, sk-…), a literal that is assigned to a name
// like password or api_key, a long run of base64 or hexadecimal digits assigned to a name with
// "key" in it, a password in a URL. Errs on the side of yes.
bool looks_secret(std::string_view line);

// Each such line, and each private key from its first line to its last, as a comment that says so,
// in the language's own form; empty marks: in brackets. Other lines stay as they are.
std::string without_secrets(std::string_view text, std::string_view comment_begin,
                            std::string_view comment_end);

}  // namespace hearth::lsp
