// Unix sockets by plain system calls.
#include "daemon/transport/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace hearth::daemon {
namespace {

constexpr int retry_every = 20;  // ms

}  // namespace

sockaddr_un socket_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof address.sun_path) {
    throw Error("the socket's path is too long (" + std::to_string(text.size()) +
                " bytes, at most " + std::to_string(sizeof address.sun_path - 1) + "): " + text +
                ": set XDG_RUNTIME_DIR to a shorter directory");
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

std::optional<Fd> connect_socket(const std::filesystem::path& path,
                                 std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  const sockaddr_un address = socket_address(path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw system_error("cannot make a socket", errno);
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    // As many as may wait to be accepted do already.
    if (errno != EAGAIN) throw system_error("cannot connect to " + path.string(), errno);
    if (Clock::now() >= deadline) throw NotAccepted("nobody is accepted at " + path.string());
    ::poll(nullptr, 0, retry_every);
  }
  const auto peer = identity_of_peer(fd.get());
  if (!peer || peer->uid != ::getuid()) {
    throw Error("the process behind " + path.string() + " is not yours: not talking to it");
  }
  return fd;
}

std::optional<PeerIdentity> identity_of_peer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return PeerIdentity{credentials.uid, credentials.pid};
}

}  // namespace hearth::daemon
