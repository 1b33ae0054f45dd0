// LSP's base protocol: bytes to message bodies and back. Knows nothing of JSON or methods.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hearth::lsp {

// The stream cannot be read on: a header that is no header, a length that lies or is too large.
class WireError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Takes bytes as they come, gives whole bodies.
class MessageReader {
 public:
  static constexpr std::size_t max_header_bytes = 8 * 1024;
  static constexpr std::size_t max_body_bytes = 256 * 1024 * 1024;

  void push(std::string_view bytes);
  // The next body, if it is complete. Throws WireError; the reader is then of no more use.
  std::optional<std::string> next();
  // A message has begun and is not complete.
  bool pending() const { return length_.has_value() || begin_ < buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t begin_ = 0;              // of what was not handed out
  std::optional<std::size_t> length_;  // of the body that follows
};

// "Content-Length: N\r\n\r\n" + body.
std::string frame(std::string_view body);

}  // namespace hearth::lsp
