// Accepting, the hello, and the bounded queues of the connections.
#include "daemon/server.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <set>

#include "daemon/error.hpp"
#include "daemon/socket.hpp"
#include "lsp/wire.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;

constexpr std::chrono::seconds hello_deadline{10};

// Alive while the server lists it or an operation of it is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Gone = std::function<void(const std::shared_ptr<Connection>&)>;

  // `gone` is called later, once it is closed and its peer destroyed.
  Connection(AsioHost& host, Service service, Gone gone, Socket socket)
      : host_(host),
        service_(std::move(service)),
        gone_(std::move(gone)),
        socket_(std::move(socket)) {}

  void start() {
    deadline_ = host_.after(hello_deadline, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->close("no hello came");
    });
    read();
  }

  const std::optional<Hello>& hello() const { return hello_; }

  void send(std::string_view body) {
    if (closed_ || closing_) return;
    std::string framed = lsp::frame(body);
    unsent_ += framed.size();
    if (unsent_ > SocketServer::most_unsent_bytes) return close("it does not read");
    outgoing_.push_back(std::move(framed));
    if (outgoing_.size() == 1) write();
  }

  // Closes once everything is sent.
  void finish() {
    closing_ = true;
    if (outgoing_.empty()) close({});
  }

  // The server ends: nothing of the peer's may outlive it.
  void drop() {
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    peer_.reset();
  }

  void close(std::string_view reason) {
    if (closed_) return;
    closed_ = true;
    if (!reason.empty()) {
      host_.log(lsp::LogLevel::warn,
                "closing the connection of process " + pid_text() + ": " + std::string(reason));
    }
    host_.cancel_timer(deadline_);
    error_code ignored;
    socket_.close(ignored);
    // Later: this may be called by the peer itself.
    host_.post([self = shared_from_this()] {
      self->peer_.reset();
      self->gone_(self);
    });
  }

 private:
  std::string pid_text() const {
    return hello_ ? std::to_string(hello_->pid) : std::string("unknown");
  }

  void read() {
    socket_.async_read_some(asio::buffer(incoming_),
                            [self = shared_from_this()](const error_code& error, std::size_t got) {
                              self->received(error, got);
                            });
  }

  void received(const error_code& error, std::size_t got) {
    if (closed_) return;
    if (error) return close({});
    if (!hello_) before_hello_ += got;
    if (before_hello_ > most_hello_bytes) return close("no hello, too much else");
    try {
      reader_.push({incoming_.data(), got});
      while (!closed_ && !closing_) {
        auto body = reader_.next();
        if (!body) break;
        handle(std::move(*body));
      }
    } catch (const lsp::WireError& bad) {
      return close(bad.what());
    }
    if (!closed_) read();
  }

  void handle(std::string body) {
    if (!hello_) return greet(body);
    peer_->receive(std::move(body));
    if (!closed_ && peer_->finished()) finish();
  }

  void greet(std::string_view body) {
    host_.cancel_timer(deadline_);
    Welcome welcome = service_.welcome();
    try {
      hello_ = parse_hello(body);
    } catch (const Error& refused) {
      welcome.error = refused.what();
      host_.log(lsp::LogLevel::warn, "refused a connection: " + welcome.error);
    }
    send(encode(welcome));
    if (!hello_) return finish();
    peer_ = service_.open(*hello_, [weak = weak_from_this()](std::string_view message) {
      if (const auto self = weak.lock()) self->send(message);
    });
  }

  void write() {
    asio::async_write(socket_, asio::buffer(outgoing_.front()),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        self->written(error);
                      });
  }

  void written(const error_code& error) {
    if (closed_) return;
    if (error) return close({});
    unsent_ -= outgoing_.front().size();
    outgoing_.pop_front();
    if (!outgoing_.empty()) return write();
    if (closing_) close({});
  }

  AsioHost& host_;
  const Service service_;
  const Gone gone_;
  Socket socket_;
  lsp::Host::TimerId deadline_ = 0;
  std::array<char, 64 * 1024> incoming_{};
  std::size_t before_hello_ = 0;
  lsp::MessageReader reader_;
  std::deque<std::string> outgoing_;
  std::size_t unsent_ = 0;
  std::optional<Hello> hello_;
  std::unique_ptr<Peer> peer_;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace

struct SocketServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(AsioHost& to, std::filesystem::path path, Service what)
      : host(to), socket_path(std::move(path)), service(std::move(what)), acceptor(to.io()) {}

  void listen();
  void accept();
  void gone(const std::shared_ptr<Connection>& connection);

  AsioHost& host;
  const std::filesystem::path socket_path;
  const Service service;
  asio::local::stream_protocol::acceptor acceptor;
  std::set<std::shared_ptr<Connection>> connections;
  std::function<void()> when_empty;  // set while shutting down
};

void SocketServer::Impl::listen() {
  socket_address(socket_path);  // throws where it is too long
  ::unlink(socket_path.c_str());
  try {
    acceptor.open();
    acceptor.bind(socket_path.string());
    acceptor.listen();
  } catch (const boost::system::system_error& failed) {
    throw Error("cannot listen at " + socket_path.string() + ": " + failed.code().message());
  }
  if (::chmod(socket_path.c_str(), 0600) != 0) throw system_error(socket_path.string(), errno);
  accept();
}

void SocketServer::Impl::accept() {
  acceptor.async_accept([self = shared_from_this()](const error_code& error, Socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors, most likely: others may close theirs.
      self->host.log(lsp::LogLevel::error, "cannot accept a connection: " + error.message());
      self->host.after(std::chrono::milliseconds(100), [self] { self->accept(); });
      return;
    }
    const auto peer = identity_of_peer(socket.native_handle());
    if (peer && peer->uid == ::getuid()) {
      const auto connection = std::make_shared<Connection>(
          self->host, self->service,
          [weak = self->weak_from_this()](const std::shared_ptr<Connection>& which) {
            if (const auto server = weak.lock()) server->gone(which);
          },
          std::move(socket));
      self->connections.insert(connection);
      connection->start();
    } else {
      self->host.log(lsp::LogLevel::warn, "refused a connection of another user");
    }
    self->accept();
  });
}

void SocketServer::Impl::gone(const std::shared_ptr<Connection>& connection) {
  connections.erase(connection);
  if (connections.empty() && when_empty) when_empty();
}

SocketServer::SocketServer(AsioHost& host, const std::filesystem::path& socket, Service service)
    : impl_(std::make_shared<Impl>(host, socket, std::move(service))) {
  impl_->listen();
}

SocketServer::~SocketServer() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  for (const auto& connection : impl_->connections) connection->drop();
  impl_->connections.clear();
  ::unlink(impl_->socket_path.c_str());
}

std::vector<Hello> SocketServer::clients() const {
  std::vector<Hello> found;
  for (const auto& connection : impl_->connections) {
    const auto& hello = connection->hello();
    if (hello && hello->kind == ConnectionKind::lsp) found.push_back(*hello);
  }
  return found;
}

void SocketServer::shut_down(std::function<void()> done) {
  error_code ignored;
  impl_->acceptor.close(ignored);
  ::unlink(impl_->socket_path.c_str());
  if (impl_->connections.empty()) return done();
  impl_->when_empty = std::move(done);
  const auto connections = impl_->connections;
  for (const auto& connection : connections) {
    const auto& hello = connection->hello();
    if (hello && hello->kind == ConnectionKind::lsp) connection->send(goodbye());
    connection->finish();
  }
}

}  // namespace hearth::daemon
