// Unix sockets by plain system calls: addresses, connecting, who is on the other side.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

// Throws Error when the path is longer than a socket's address may be.
sockaddr_un socket_address(const std::filesystem::path& path);

// A process listens there but takes no connection.
class NotAccepted : public Error {
 public:
  using Error::Error;
};

// Empty when nobody listens there. Throws NotAccepted after `timeout`, and Error for anything
// else, also when the other side is not this user's process. The descriptor does not block.
std::optional<Fd> connect_socket(const std::filesystem::path& path,
                                 std::chrono::milliseconds timeout);

struct PeerIdentity {
  uid_t uid = 0;
  pid_t pid = 0;
};
std::optional<PeerIdentity> identity_of_peer(int socket);

}  // namespace hearth::daemon
