// LSP's base protocol: bytes to message bodies and back. Knows nothing of JSON or methods.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hearth::lsp {

// The stream cannot be read on: a header that is no header, a length that lies or is too large. Its
// text quotes nothing of the stream: it may be logged.
class WireError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One message is not taken; those behind it are.
class MessageRefused : public std::runtime_error {
 public:
  MessageRefused(const std::string& reason, std::string what_to_answer)
      : std::runtime_error(reason), answer(std::move(what_to_answer)) {}
  std::string answer;  // the body of a message to its sender
};

// A large body that is not taken: it is shown the body's bytes as they come, keeps none of them,
// and says what to answer.
class BodyRefusal {
 public:
  virtual ~BodyRefusal() = default;
  // The next bytes, from the body's first one on. True: no more need to be shown.
  virtual bool read(std::string_view bytes) = 0;
  virtual MessageRefused reason() const = 0;
};

// Takes bytes as they come, gives whole bodies.
class MessageReader {
 public:
  // What a body may be without being looked at before it is whole.
  static constexpr std::size_t max_unchecked_bytes = 1024 * 1024;
  static constexpr std::size_t max_header_bytes = 8 * 1024;
  static constexpr std::size_t max_body_bytes = 256 * 1024 * 1024;

  // Called with the first max_unchecked_bytes or more of a body that is larger, and its length;
  // null, if it is taken.
  using SizeCheck =
      std::function<std::unique_ptr<BodyRefusal>(std::string_view beginning, std::size_t length)>;

  explicit MessageReader(SizeCheck size_check = nullptr) : size_check_(std::move(size_check)) {}

  void push(std::string_view bytes);
  // The next body, if it is complete. Throws WireError, and the reader is then of no more use; or
  // MessageRefused for a body that is refused, once it is known what to answer; what is still to
  // come of that body is left out.
  std::optional<std::string> next();
  // A message has begun and is not complete.
  bool pending() const {
    return length_.has_value() || begin_ < buffer_.size() || left_out_ > 0 || refusal_ != nullptr;
  }

 private:
  std::size_t missing() const { return *length_ - body_.size(); }
  void collect(std::string_view& bytes);
  void refuse(std::unique_ptr<BodyRefusal> refusal);
  std::optional<std::string> next_large();

  SizeCheck size_check_;
  std::string buffer_;
  std::size_t begin_ = 0;              // of what was not handed out
  std::optional<std::size_t> length_;  // of the body that follows
  // A large body is collected in memory of its own, which is then handed out.
  bool large_ = false;
  bool checked_ = false;
  std::string body_;
  std::size_t left_out_ = 0;              // bytes still to come of a body that is refused
  std::unique_ptr<BodyRefusal> refusal_;  // until its answer is thrown
  bool answer_known_ = false;             // of refusal_
};

// "Content-Length: N\r\n\r\n" + body.
std::string frame(std::string_view body);
void append_framed(std::string& stream, std::string_view body);

}  // namespace hearth::lsp
