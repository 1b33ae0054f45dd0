// Non-blocking use of descriptors that others may share, and whose flags are therefore left alone.
#include "daemon/transport/stream.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace hearth::daemon {
namespace {

// A writable pipe takes PIPE_BUF bytes without blocking; a socket says so itself.
ssize_t write_some(int fd, std::string_view bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
}

bool writable_now(int fd) {
  pollfd poller{fd, POLLOUT, 0};
  return ::poll(&poller, 1, 0) == 1 && (poller.revents & POLLOUT) != 0;
}

}  // namespace

MessageStream::MessageStream(int in, int out, lsp::MessageReader::SizeCheck size_check)
    : in_(in), out_(out), reader_(std::move(size_check)) {}
MessageStream::MessageStream(Fd socket)
    : owned_(std::move(socket)), in_(owned_.get()), out_(owned_.get()) {}

void MessageStream::send(std::string_view body) {
  lsp::append_framed(outgoing_, body);
  while (unsent() > 0 && writable_now(out_)) {
    if (!flush()) return;  // fill() will notice
  }
}

bool MessageStream::flush() {
  const ssize_t written = write_some(out_, std::string_view(outgoing_).substr(sent_));
  if (written < 0) return errno == EAGAIN || errno == EINTR;
  sent_ += static_cast<std::size_t>(written);
  if (sent_ == outgoing_.size()) {
    outgoing_ = std::string();  // gives the memory of a huge message back
    sent_ = 0;
  } else if (sent_ > outgoing_.size() / 2) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  return true;
}

bool MessageStream::fill() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t got = ::read(in_, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  reader_.push({buffer.data(), static_cast<std::size_t>(got)});
  return true;
}

std::optional<std::string> MessageStream::receive(std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    if (auto body = next()) return body;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd pollers[] = {{in_, POLLIN, 0}, {unsent() > 0 ? out_ : -1, POLLOUT, 0}};
    if (::poll(pollers, 2, static_cast<int>(std::min<long>(left, INT_MAX))) < 0 && errno != EINTR) {
      return std::nullopt;
    }
    // Read first: what closes the connection without reading may have said why.
    if (pollers[0].revents != 0 && !fill()) return next();
    if (pollers[1].revents != 0 && !flush()) return next();
  }
}

}  // namespace hearth::daemon
