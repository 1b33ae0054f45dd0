// Unix sockets by plain system calls: addresses, connecting, who is on the other side.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <filesystem>
#include <optional>

#include "daemon/fd.hpp"

namespace hearth::daemon {

// Throws Error when the path is longer than a socket's address may be.
sockaddr_un socket_address(const std::filesystem::path& path);

// Empty when nobody listens there. Throws Error for anything else, also when the other side is
// not this user's process.
std::optional<Fd> connect_socket(const std::filesystem::path& path);

struct PeerIdentity {
  uid_t uid = 0;
  pid_t pid = 0;
};
std::optional<PeerIdentity> identity_of_peer(int socket);

}  // namespace hearth::daemon
