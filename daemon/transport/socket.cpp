// Unix sockets by plain system calls.
#include "daemon/socket.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "daemon/error.hpp"

namespace hearth::daemon {

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

std::optional<Fd> connect_socket(const std::filesystem::path& path) {
  const sockaddr_un address = socket_address(path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw system_error("cannot make a socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    throw system_error("cannot connect to " + path.string(), errno);
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
