// The Unix socket: who may connect, the hello, framed messages in and out with a bound. What is
// said on a connection is its Peer's affair.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/platform/asio_host.hpp"
#include "daemon/transport/control_protocol.hpp"

namespace hearth::daemon {

// The handler of one connection.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void receive(std::string body) = 0;
  // A message is still being worked on: nothing more is received, or read, until it says so.
  virtual bool busy() const { return false; }
  virtual bool finished() const { return false; }  // asked after each receive: send the rest, close
};

struct Service {
  std::function<Welcome()> welcome;
  // `send` takes a message's body; `ready` is called when the peer is busy no longer. Both may be
  // called at any time from then on, and do nothing once the connection is gone.
  std::function<std::unique_ptr<Peer>(const Hello&, std::function<void(std::string)> send,
                                      std::function<void()> ready)>
      open;
};

// All methods on the Host's thread, before it runs included.
class SocketServer {
 public:
  // What a client may leave unread before it is disconnected.
  static constexpr std::size_t max_unsent_bytes = 64 * 1024 * 1024;

  // Takes the place of a stale socket: the caller makes sure that no other daemon lives. Throws
  // Error with the path.
  SocketServer(AsioHost& host, const std::filesystem::path& socket, Service service);
  ~SocketServer();  // closes everything, removes the socket if it is still its own

  // False once the socket has been removed or replaced: nobody can connect to this server then.
  bool on_disk() const;
  // Makes a new socket in its place; connections stay. Throws Error.
  void listen_again();

  std::vector<Hello> clients() const;  // of kind lsp
  // No new connections; sends editors the shutdown notice; `done` when all that was to be sent is.
  void shut_down(std::function<void()> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
