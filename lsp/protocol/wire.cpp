// Content-Length framing. Headers are checked strictly: after one that lies nothing that follows
// can be trusted, and anything may be the text of a document, so that errors quote nothing.
#include "lsp/protocol/wire.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace hearth::lsp {
namespace {

constexpr std::string_view header_end = "\r\n\r\n";

// Bytes up to and with the empty line that ends a header; npos where it is not there yet. Lines may
// end in LF alone, as hand-written clients end them.
std::size_t header_size(std::string_view bytes) {
  for (std::size_t line = 0;;) {
    const std::size_t end = bytes.find('\n', line);
    if (end == std::string_view::npos) return std::string_view::npos;
    const std::size_t length = end - line;
    if (length == 0 || (length == 1 && bytes[line] == '\r')) return end + 1;
    line = end + 1;
  }
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
    throw WireError("Content-Length is not a number of bytes");
  }
  if (length > MessageReader::max_body_bytes) {
    throw WireError("Content-Length is more than the " +
                    std::to_string(MessageReader::max_body_bytes) + " bytes that are accepted");
  }
  return length;
}

// The value of Content-Length among the header lines.
std::size_t content_length(std::string_view header) {
  std::optional<std::size_t> length;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find('\n'), header.size());
    std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;  // the last one
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      throw WireError(
          "a line is no message header (a Content-Length too small for the message before it?)");
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
  collect(bytes);
  // What was handed out is dropped once it is the larger part, so that moving costs O(1) a byte.
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

// Takes from the front of `bytes` what belongs to a body that was refused, or to a large one.
void MessageReader::collect(std::string_view& bytes) {
  const std::size_t dropped = std::min(left_out_, bytes.size());
  if (refusal_ && !answer_known_) answer_known_ = refusal_->read(bytes.substr(0, dropped));
  left_out_ -= dropped;
  bytes.remove_prefix(dropped);
  if (!large_) return;
  const std::size_t taken = std::min(missing(), bytes.size());
  body_.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
}

void MessageReader::refuse(std::unique_ptr<BodyRefusal> refusal) {
  answer_known_ = refusal->read(body_);
  refusal_ = std::move(refusal);
  left_out_ = missing();
  body_ = std::string();
  length_.reset();
  large_ = false;
}

std::optional<std::string> MessageReader::next() {
  if (refusal_) {
    if (!answer_known_ && left_out_ > 0) return std::nullopt;
    throw std::exchange(refusal_, nullptr)->reason();
  }
  if (!length_) {
    const std::string_view pending = std::string_view(buffer_).substr(begin_);
    if (pending.empty()) return std::nullopt;
    if (!could_start_header(pending.front())) {
      throw WireError(
          "a message does not begin with a header (a Content-Length that does not match its "
          "body?)");
    }
    const std::size_t size = header_size(pending.substr(0, max_header_bytes));
    if (size == std::string_view::npos) {
      if (pending.size() >= max_header_bytes) {
        throw WireError("a message's header is longer than " + std::to_string(max_header_bytes) +
                        " bytes");
      }
      return std::nullopt;
    }
    length_ = content_length(pending.substr(0, size));
    begin_ += size;
  }
  if (*length_ > max_unchecked_bytes) return next_large();
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

std::optional<std::string> MessageReader::next_large() {
  if (!std::exchange(large_, true)) {
    checked_ = size_check_ == nullptr;
    std::string_view come = std::string_view(buffer_).substr(begin_);
    const std::size_t before = come.size();
    collect(come);
    begin_ += before - come.size();
  }
  if (!checked_ && body_.size() < max_unchecked_bytes) return std::nullopt;
  if (!std::exchange(checked_, true)) {
    if (auto refusal = size_check_(body_, *length_)) {
      refuse(std::move(refusal));
      return next();
    }
  }
  body_.reserve(*length_);
  if (missing() > 0) return std::nullopt;
  length_.reset();
  large_ = false;
  return std::exchange(body_, std::string());
}

std::string frame(std::string_view body) {
  std::string message;
  append_framed(message, body);
  return message;
}

void append_framed(std::string& stream, std::string_view body) {
  stream.append("Content-Length: ").append(std::to_string(body.size())).append(header_end);
  stream.append(body);
}

}  // namespace hearth::lsp
