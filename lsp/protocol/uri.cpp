// Byte by byte.
#include "lsp/protocol/uri.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>

#include "lsp/support/text.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view file_scheme = "file://";
constexpr std::string_view unreserved =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

}  // namespace

std::string percent_encoded(std::string_view text, std::string_view kept) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (unreserved.find(c) != unreserved.npos || kept.find(c) != kept.npos) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', digits[byte >> 4U], digits[byte & 15U]};
  }
  return encoded;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint8_t byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string file_uri(std::string_view path) {
  return std::string(file_scheme) + percent_encoded(path, "/");
}

std::string readable_uri(std::string_view uri) {
  if (!uri.starts_with(file_scheme)) return std::string(uri);
  return valid_utf8(percent_decoded(uri.substr(file_scheme.size())));
}

}  // namespace hearth::lsp
