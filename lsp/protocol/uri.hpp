// What URIs encode by %XX. Knows no scheme but file:.
#pragma once

#include <string>
#include <string_view>

namespace hearth::lsp {

// Letters, digits and -._~ stay as they are, and so do the characters of `kept`.
std::string percent_encoded(std::string_view text, std::string_view kept = {});
// A % without two hexadecimal digits behind it stays. The bytes may be no UTF-8.
std::string percent_decoded(std::string_view text);

// "file:///a%20b" of an absolute path.
std::string file_uri(std::string_view path);
// The path of a file: URI, in valid UTF-8; any other URI as it is. For people.
std::string readable_uri(std::string_view uri);

}  // namespace hearth::lsp
