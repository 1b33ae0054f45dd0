// Content-Length framing. Headers are checked strictly: after one that lies nothing that follows
// can be trusted.
#include "lsp/wire.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace hearth::lsp {
namespace {

constexpr std::string_view header_end = "\r\n\r\n";

std::string printable(std::string_view bytes) {
  constexpr std::size_t shown = 40;
  std::string text;
  for (const char byte : bytes.substr(0, shown)) {
    text += std::isprint(static_cast<unsigned char>(byte)) != 0 ? byte : '?';
  }
  return bytes.size() > shown ? text + "…" : text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_content_length(std::string_view name) {
  constexpr std::string_view wanted = "content-length";
  return std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

std::size_t parse_length(std::string_view value) {
  std::size_t length = 0;
  const char* end = value.data() + value.size();
  const auto [parsed, error] = std::from_chars(value.data(), end, length);
  if (error == std::errc::result_out_of_range) length = MessageReader::max_body_bytes + 1;
  if (parsed != end || value.empty() || error == std::errc::invalid_argument) {
    throw WireError("Content-Length is not a number of bytes: \"" + printable(value) + "\"");
  }
  if (length > MessageReader::max_body_bytes) {
    throw WireError("Content-Length " + printable(value) + " is more than the " +
                    std::to_string(MessageReader::max_body_bytes) + " bytes that are accepted");
  }
  return length;
}

// The value of Content-Length among the header lines.
std::size_t content_length(std::string_view header) {
  std::optional<std::size_t> length;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find("\r\n"), header.size());
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      throw WireError("not a message header: \"" + printable(line) +
                      "\" (a Content-Length too small for the message before it?)");
    }
    if (!is_content_length(trimmed(line.substr(0, colon)))) continue;
    if (length) throw WireError("a message has two Content-Length headers");
    length = parse_length(trimmed(line.substr(colon + 1)));
  }
  if (!length) throw WireError("a message has no Content-Length header");
  return *length;
}

// A client that writes no header at all is told so at once, rather than after 8 KiB.
bool could_start_header(char first) {
  return std::isalpha(static_cast<unsigned char>(first)) != 0;
}

}  // namespace

void MessageReader::push(std::string_view bytes) {
  // What was handed out is dropped once it is the larger part, so that moving costs O(1) a byte.
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

std::optional<std::string> MessageReader::next() {
  if (!length_) {
    const std::string_view pending = std::string_view(buffer_).substr(begin_);
    if (pending.empty()) return std::nullopt;
    if (!could_start_header(pending.front())) {
      throw WireError("a message does not begin with a header but with \"" + printable(pending) +
                      "\" (a Content-Length that does not match its body?)");
    }
    const std::size_t end = pending.substr(0, max_header_bytes).find(header_end);
    if (end == std::string_view::npos) {
      if (pending.size() >= max_header_bytes) {
        throw WireError("a message's header is longer than " + std::to_string(max_header_bytes) +
                        " bytes: \"" + printable(pending) + "\"");
      }
      return std::nullopt;
    }
    length_ = content_length(pending.substr(0, end));
    begin_ += end + header_end.size();
  }
  if (buffer_.size() - begin_ < *length_) return std::nullopt;
  std::string body = buffer_.substr(begin_, *length_);
  begin_ += *length_;
  length_.reset();
  if (begin_ == buffer_.size()) {
    buffer_ = std::string();  // gives the memory of a huge message back
    begin_ = 0;
  }
  return body;
}

std::string frame(std::string_view body) {
  std::string message = "Content-Length: " + std::to_string(body.size());
  message.reserve(message.size() + header_end.size() + body.size());
  return message.append(header_end).append(body);
}

}  // namespace hearth::lsp
