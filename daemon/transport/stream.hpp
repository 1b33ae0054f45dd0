// Framed messages over two descriptors, for the programs at the client's end: plain poll(), no
// event loop. Writing never blocks; what cannot be written yet waits in a buffer.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/platform/fd.hpp"
#include "lsp/protocol/wire.hpp"

namespace hearth::daemon {

class MessageStream {
 public:
  // The descriptors are the caller's (stdio). `size_check`: see lsp::MessageReader.
  MessageStream(int in, int out, lsp::MessageReader::SizeCheck size_check = nullptr);
  // One socket for both ways.
  explicit MessageStream(Fd socket);

  // Frames and queues a body, and writes what can be written now.
  void send(std::string_view body);
  // To be called when out() is writable. False: the other side is gone.
  bool flush();
  // To be called when in() is readable: reads once. False: the other side is gone.
  bool fill();
  // The next message, if it is complete. Throws lsp::WireError and, with a size check,
  // lsp::MessageRefused.
  std::optional<std::string> next() { return reader_.next(); }
  bool in_the_middle() const { return reader_.pending(); }  // of a message

  // Waits for a message, sending what is queued. Empty when the other side is gone or the time is
  // over.
  std::optional<std::string> receive(std::chrono::milliseconds timeout);

  int in() const { return in_; }
  int out() const { return out_; }
  std::size_t unsent() const { return outgoing_.size() - sent_; }

 private:
  Fd owned_;
  int in_;
  int out_;
  lsp::MessageReader reader_;
  std::string outgoing_;
  std::size_t sent_ = 0;  // of outgoing_
};

}  // namespace hearth::daemon
