// Accepting, the hello, and the bounded queues of the connections.
#include "daemon/transport/listener.hpp"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <deque>
#include <new>
#include <optional>
#include <set>
#include <utility>

#include "daemon/platform/descriptors.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "daemon/platform/insist.hpp"
#include "daemon/platform/memory_reserve.hpp"
#include "daemon/transport/socket.hpp"
#include "lsp/protocol/message_size.hpp"
#include "lsp/protocol/wire.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;

constexpr std::chrono::seconds hello_deadline{10};
// For the rest of what is to be sent once a connection is to be closed.
constexpr std::chrono::seconds drain_timeout{3};
// Where not even a refusal can be accepted.
constexpr std::chrono::seconds accept_retry{1};
constexpr std::chrono::minutes complaint_interval{1};

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

  // May throw; then nothing has begun.
  void start() {
    deadline_ = host_.after(hello_deadline, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->close("no hello came");
    });
    read();
  }

  const std::optional<Hello>& hello() const { return hello_; }

  void send(std::string_view body) noexcept {
    if (closed_ || closing_) return;
    try {
      std::string framed = lsp::frame(body);
      unsent_ += framed.size();
      if (unsent_ > SocketServer::max_unsent_bytes) return close("it does not read");
      outgoing_.push_back(std::move(framed));
      if (outgoing_.size() == 1) write();
    } catch (const std::exception&) {
      close("no memory for what is to be sent");
    }
  }

  // Closes once everything is sent, or when that takes too long. Nothing is read any more: a client
  // that goes on sending is blocked by what the system keeps for it.
  void finish() {
    if (closed_ || std::exchange(closing_, true)) return;
    if (outgoing_.empty()) return close({});
    host_.cancel_timer(deadline_);
    deadline_ = host_.after(drain_timeout, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->close("it does not read its last messages");
    });
  }

  // The server ends: nothing of the peer's may outlive it.
  void drop() {
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    peer_.reset();
  }

  void close(std::string_view reason) noexcept {
    if (closed_) return;
    closed_ = true;
    if (!reason.empty()) log_end(reason);
    host_.cancel_timer(deadline_);
    error_code ignored;
    socket_.close(ignored);
    // Later: this may be called by the peer itself. A connection that stayed would keep the daemon
    // from ever being idle, so without memory for that the daemon ends.
    const bool posted = insist([this] {
      host_.post([self = shared_from_this()] {
        self->peer_.reset();
        self->gone_(self);
        // The allocator would keep what a large document took for as long as the daemon lives.
        if (self->received_large_) self->host_.background([] { ::malloc_trim(0); }, [] {});
      });
    });
    if (!posted) host_.stop();
  }

 private:
  void log_end(std::string_view reason) noexcept {
    try {
      host_.log(lsp::LogLevel::warn,
                "closing the connection of process " +
                    (hello_ ? std::to_string(hello_->pid) : std::string("unknown")) + ": " +
                    std::string(reason));
    } catch (const std::exception&) {
      host_.log(lsp::LogLevel::warn, reason);
    }
  }

  void read() {
    const bool reading = insist([this] {
      socket_.async_read_some(
          asio::buffer(incoming_),
          [self = shared_from_this()](const error_code& error, std::size_t got) {
            self->received(error, got);
          });
    });
    if (!reading) close("no memory to read it with");
  }

  void received(const error_code& error, std::size_t got) {
    if (closed_ || closing_) return;
    if (error) return close({});
    continue_reading(got);
  }

  // Hands on one message a turn, so that other connections have theirs; then reads more. Whatever
  // comes out of a message, what follows it is read, or the connection closes.
  void continue_reading(std::size_t got = 0) {
    restore_memory_reserve();
    try {
      if (got > 0) take(got);
      const bool more = ready() && hand_on() && ready();
      if (more) return host_.post([self = shared_from_this()] { self->continue_reading(); });
    } catch (const lsp::WireError& bad) {
      close(bad.what());
    } catch (const std::bad_alloc&) {
      close("no memory for a message");
    } catch (const std::exception&) {
      close("a message could not be handled");  // what others say of it may quote it
    }
    if (ready()) read();
  }

  bool ready() const { return !closed_ && !closing_ && !busy(); }

  void take(std::size_t got) {
    if (!hello_) before_hello_ += got;
    if (before_hello_ > max_hello_bytes) return close("no hello, too much else");
    reader_.push({incoming_.data(), got});
  }

  // False: no message is complete.
  bool hand_on() {
    try {
      auto body = reader_.next();
      if (!body) return false;
      received_large_ |= body->size() > lsp::MessageReader::max_unchecked_bytes;
      handle(std::move(*body));
    } catch (const lsp::MessageRefused& refused) {
      host_.log(lsp::LogLevel::warn, refused.what());
      send(refused.answer);
    }
    return true;
  }

  bool busy() const { return peer_ && peer_->busy(); }

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
    const auto weak = weak_from_this();
    peer_ = service_.open(
        *hello_,
        [weak](std::string_view message) {
          if (const auto self = weak.lock()) self->send(message);
        },
        // Later, so that other connections have their turn.
        [weak, &host = host_] {
          host.post([weak] {
            if (const auto self = weak.lock()) self->continue_reading();
          });
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
    if (!outgoing_.empty()) {
      if (!insist([this] { write(); })) close("no memory for what is to be sent");
    } else if (closing_) {
      close({});
    }
  }

  AsioHost& host_;
  const Service service_;
  const Gone gone_;
  Socket socket_;
  lsp::Host::TimerId deadline_ = 0;
  std::array<char, 64 * 1024> incoming_{};
  std::size_t before_hello_ = 0;
  lsp::MessageReader reader_{lsp::refuse_if_too_large};
  bool received_large_ = false;
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
  bool on_disk() const;
  void stop_listening();
  void accept();
  void accepted(const error_code& error, Socket socket);
  bool refuse_next();
  void complain(const std::string& reason);
  void begin(Socket socket);
  void gone(const std::shared_ptr<Connection>& connection);

  AsioHost& host;
  const std::filesystem::path socket_path;
  const Service service;
  asio::local::stream_protocol::acceptor acceptor;
  struct stat own {};  // the socket's name on disk
  Fd spare = spare_descriptor();
  std::optional<std::chrono::steady_clock::time_point> complained;
  std::size_t not_logged = 0;  // complaints since then
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
  if (::chmod(socket_path.c_str(), 0600) != 0 || ::lstat(socket_path.c_str(), &own) != 0) {
    throw system_error(socket_path.string(), errno);
  }
  accept();
}

bool SocketServer::Impl::on_disk() const {
  struct stat named {};
  return ::lstat(socket_path.c_str(), &named) == 0 && named.st_dev == own.st_dev &&
         named.st_ino == own.st_ino;
}

// What another daemon has put in the socket's place stays. As long as the acceptor is open, the
// number of its inode is not given to another.
void SocketServer::Impl::stop_listening() {
  if (acceptor.is_open() && on_disk()) ::unlink(socket_path.c_str());
  error_code ignored;
  acceptor.close(ignored);
}

void SocketServer::Impl::accept() {
  const bool accepting = insist([this] {
    acceptor.async_accept([self = shared_from_this()](const error_code& error, Socket socket) {
      self->accepted(error, std::move(socket));
    });
  });
  if (accepting) return;
  host.log(lsp::LogLevel::error, "no memory to accept connections with");
  host.stop();
}

void SocketServer::Impl::accepted(const error_code& error, Socket socket) {
  if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
  try {
    if (!error) {
      begin(std::move(socket));
    } else {
      const bool none_left = error == asio::error::no_descriptors ||
                             error == boost::system::errc::too_many_files_open_in_system;
      complain("cannot accept a connection: " + error.message());
      if (!none_left || !refuse_next()) {
        host.after(accept_retry, [self = shared_from_this()] { self->accept(); });
        return;
      }
    }
  } catch (const std::exception& failed) {
    host.log(lsp::LogLevel::error, "a connection could not begin");
    host.log(lsp::LogLevel::error, failed.what());
  }
  accept();
}

// A connection that cannot be accepted would wake the daemon again and again: it is taken with the
// spare descriptor, told why, and closed. False where another thread has taken that descriptor.
bool SocketServer::Impl::refuse_next() {
  spare.reset();
  const bool taken = [&] {
    const Fd next(
        ::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!next) return errno == EAGAIN;  // it went by itself
    const auto peer = identity_of_peer(next.get());
    if (!peer || peer->uid != ::getuid()) return true;
    Welcome welcome = service.welcome();
    welcome.error = too_many_open_files();
    const std::string answer = lsp::frame(encode(welcome));
    // An empty socket takes so little at once; whoever has gone needs no answer.
    ::send(next.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return true;
  }();
  spare = spare_descriptor();
  return taken;
}

// One line in a minute, however many ask.
void SocketServer::Impl::complain(const std::string& reason) {
  const auto now = host.now();
  if (complained && now - *complained < complaint_interval) {
    ++not_logged;
    return;
  }
  complained = now;
  const std::size_t before = std::exchange(not_logged, 0);
  host.log(lsp::LogLevel::error,
           reason + (before == 0 ? "" : " (and " + std::to_string(before) + " times before)"));
}

void SocketServer::Impl::begin(Socket socket) {
  const auto peer = identity_of_peer(socket.native_handle());
  if (!peer || peer->uid != ::getuid()) {
    host.log(lsp::LogLevel::warn, "refused a connection of another user");
    return;
  }
  const auto connection = std::make_shared<Connection>(
      host, service,
      [weak = weak_from_this()](const std::shared_ptr<Connection>& which) {
        if (const auto server = weak.lock()) server->gone(which);
      },
      std::move(socket));
  connections.insert(connection);
  try {
    connection->start();
  } catch (...) {
    connections.erase(connection);
    throw;
  }
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
  impl_->stop_listening();
  for (const auto& connection : impl_->connections) connection->drop();
  impl_->connections.clear();
}

bool SocketServer::on_disk() const {
  return impl_->on_disk();
}

void SocketServer::listen_again() {
  impl_->stop_listening();
  impl_->listen();
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
  impl_->stop_listening();
  if (impl_->connections.empty()) return done();
  impl_->when_empty = std::move(done);
  const auto connections = impl_->connections;
  for (const auto& connection : connections) {
    const auto& hello = connection->hello();
    if (hello && hello->kind == ConnectionKind::lsp) connection->send(shutdown_notice());
    connection->finish();
  }
}

}  // namespace hearth::daemon
