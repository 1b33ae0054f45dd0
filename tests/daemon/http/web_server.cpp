// A listening socket, a thread for each connection.
#include "tests/daemon/http/web_server.hpp"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <stdexcept>

namespace hearth::tests {
namespace {

void require(bool fine, const char* what) {
  if (!fine) throw std::runtime_error(std::string("the test's server: ") + what);
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string trimmed(std::string text) {
  text.erase(0, text.find_first_not_of(" \t"));
  text.erase(text.find_last_not_of(" \t\r") + 1);
  return text;
}

}  // namespace

bool WebConnection::respond(int status, const std::string& headers, std::string_view body) {
  return send("HTTP/1.1 " + std::to_string(status) +
              " S\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n") &&
         (body.empty() || send(body));
}

TestCertificate make_certificate(const std::string& host) {
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  std::unique_ptr<X509, void (*)(X509*)> made(X509_new(), X509_free);
  require(key && made, "no key");
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 24 * 3600);
  X509_set_pubkey(made.get(), key.get());
  X509_NAME* name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(host.c_str()), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + host).c_str());
  X509_add_ext(made.get(), names, -1);
  X509_EXTENSION_free(names);
  require(X509_sign(made.get(), key.get(), EVP_sha256()) != 0, "no certificate");
  std::unique_ptr<BIO, int (*)(BIO*)> certificate(BIO_new(BIO_s_mem()), BIO_free);
  std::unique_ptr<BIO, int (*)(BIO*)> secret(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(certificate.get(), made.get());
  PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate.get()), text_of(secret.get())};
}

std::string locked_key(const std::string& key, const std::string& passphrase) {
  std::unique_ptr<BIO, int (*)(BIO*)> open(BIO_new_mem_buf(key.data(), -1), BIO_free);
  std::unique_ptr<BIO, int (*)(BIO*)> locked(BIO_new(BIO_s_mem()), BIO_free);
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> read(
      PEM_read_bio_PrivateKey(open.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  require(
      PEM_write_bio_PKCS8PrivateKey(locked.get(), read.get(), EVP_aes_256_cbc(), passphrase.data(),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr) == 1,
      "no locked key");
  return text_of(locked.get());
}

class WebServer::Connection : public WebConnection {
 public:
  Connection(daemon::Fd socket, SSL_CTX* tls, const std::atomic<bool>& ends)
      : socket_(std::move(socket)),
        tls_(tls == nullptr ? nullptr : SSL_new(tls), SSL_free),
        ends_(ends) {}

  bool shake_hands() {
    if (!tls_) return true;
    SSL_set_fd(tls_.get(), socket_.get());
    return SSL_accept(tls_.get()) == 1;
  }
  bool send(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t sent = tls_
                               ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
                               : ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void cut() override { ::shutdown(socket_.get(), SHUT_RDWR); }
  bool waits(std::chrono::milliseconds time) override {
    pollfd poll{socket_.get(), POLLIN | POLLRDHUP, 0};
    return ::poll(&poll, 1, static_cast<int>(time.count())) == 0 && !ends_;
  }

  // False: there is no further one.
  bool read(WebRequest& request) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return false;
    }
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    std::size_t at = head.find("\r\n");
    const std::string first = head.substr(0, at);
    const std::size_t blank = first.find(' ');
    request.method = first.substr(0, blank);
    request.target = first.substr(blank + 1, first.rfind(' ') - blank - 1);
    for (at += 2; at < head.size();) {
      const std::size_t next = head.find("\r\n", at);
      const std::string line = head.substr(at, next - at);
      std::string name = line.substr(0, line.find(':'));
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      request.headers[name] = trimmed(line.substr(line.find(':') + 1));
      at = next + 2;
    }
    const std::string length = request.header("content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    while (buffer_.size() < size) {
      if (!read_more()) return false;
    }
    request.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return true;
  }

 private:
  bool read_more() {
    char piece[16 << 10];
    const ssize_t got = tls_ ? SSL_read(tls_.get(), piece, sizeof piece)
                             : ::recv(socket_.get(), piece, sizeof piece, 0);
    if (got <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(got));
    return true;
  }

  daemon::Fd socket_;
  std::unique_ptr<SSL, void (*)(SSL*)> tls_;
  const std::atomic<bool>& ends_;
  std::string buffer_;
};

WebServer::WebServer(Answer answer, const TestCertificate* certificate)
    : answer_(std::move(answer)), tls_(nullptr, SSL_CTX_free) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (certificate != nullptr) {
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    std::unique_ptr<BIO, int (*)(BIO*)> shown(BIO_new_mem_buf(certificate->certificate.data(), -1),
                                              BIO_free);
    std::unique_ptr<BIO, int (*)(BIO*)> secret(BIO_new_mem_buf(certificate->key.data(), -1),
                                               BIO_free);
    std::unique_ptr<X509, void (*)(X509*)> read(
        PEM_read_bio_X509(shown.get(), nullptr, nullptr, nullptr), X509_free);
    std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
        PEM_read_bio_PrivateKey(secret.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    require(SSL_CTX_use_certificate(tls_.get(), read.get()) == 1 &&
                SSL_CTX_use_PrivateKey(tls_.get(), key.get()) == 1,
            "the certificate is not taken");
  }
  listener_ = daemon::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  require(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              ::listen(listener_.get(), 64) == 0 &&
              ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "no port");
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { accept_all(); });
}

WebServer::~WebServer() {
  ends_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  accepting_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) connection->cut();
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string WebServer::origin() const {
  return (tls_ ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port_);
}

void WebServer::accept_all() {
  while (!ends_) {
    daemon::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket || ends_) continue;
    ++accepted_;
    auto connection = std::make_shared<Connection>(std::move(socket), tls_.get(), ends_);
    {
      const std::lock_guard lock(mutex_);
      connections_.push_back(connection);
    }
    threads_.emplace_back([this, connection] {
      serve(*connection);
      connection->cut();
      const std::lock_guard lock(mutex_);
      connections_.remove(connection);
    });
  }
}

void WebServer::serve(Connection& connection) {
  if (!connection.shake_hands()) return;
  for (WebRequest request; connection.read(request); request = {}) answer_(request, connection);
}

}  // namespace hearth::tests
