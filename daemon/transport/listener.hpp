// The Unix socket: who may connect, the hello, framed messages in and out with a bound. What is
// said on a connection is its Peer's affair.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/host.hpp"
#include "daemon/protocol.hpp"

namespace hearth::daemon {

// What stands behind one connection.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void receive(std::string body) = 0;
  virtual bool finished() const { return false; }  // asked after each receive: send the rest, close
};

struct Service {
  std::function<Welcome()> welcome;
  // `send` takes a message's body, may be called at any time from then on, and does nothing once
  // the connection is gone.
  std::function<std::unique_ptr<Peer>(const Hello&, std::function<void(std::string)> send)> open;
};

// All methods on the Host's thread, before it runs included.
class SocketServer {
 public:
  // What a client may leave unread before it is disconnected.
  static constexpr std::size_t most_unsent_bytes = 64 * 1024 * 1024;

  // Takes the place of a stale socket: the caller makes sure that no other daemon lives. Throws
  // Error with the path.
  SocketServer(AsioHost& host, const std::filesystem::path& socket, Service service);
  ~SocketServer();  // closes everything, removes the socket

  std::vector<Hello> clients() const;  // of kind lsp
  // No new connections; says goodbye to editors; `done` when all that was to be sent is.
  void shut_down(std::function<void()> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
