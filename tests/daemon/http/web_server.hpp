// An HTTP server for one test, on loopback, plain or with TLS: what it answers, and how it breaks
// off, is the test's to say.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "daemon/platform/fd.hpp"

struct ssl_ctx_st;

namespace hearth::tests {

struct WebRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in small letters
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// A connection as an answer sees it, in the connection's own thread.
class WebConnection {
 public:
  virtual ~WebConnection() = default;
  virtual bool send(std::string_view bytes) = 0;  // false: the client has gone
  virtual void cut() = 0;                         // ends it as a lost connection does
  // False once the client closed it, or the server ends; waits so long for that.
  virtual bool waits(std::chrono::milliseconds time) = 0;

  // A whole answer with its length.
  bool respond(int status, const std::string& headers, std::string_view body);
};

// A certificate for "localhost" that it has signed itself, in PEM.
struct TestCertificate {
  std::string certificate;
  std::string key;
};
TestCertificate make_certificate(const std::string& host);
// The same key behind a passphrase.
std::string locked_key(const std::string& key, const std::string& passphrase);

class WebServer {
 public:
  using Answer = std::function<void(const WebRequest&, WebConnection&)>;

  explicit WebServer(Answer answer, const TestCertificate* certificate = nullptr);
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;
  ~WebServer();  // cuts all connections and waits for their answers

  int port() const { return port_; }
  std::string origin() const;  // "http://127.0.0.1:PORT", with TLS "https://localhost:PORT"
  int connections() const { return accepted_; }

 private:
  class Connection;
  void accept_all();
  void serve(Connection& connection);

  Answer answer_;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> tls_;
  daemon::Fd listener_;
  int port_ = 0;
  std::atomic<bool> ends_ = false;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  std::list<std::shared_ptr<Connection>> connections_;  // guarded by mutex_
  std::list<std::thread> threads_;                      // of the accepting thread, then of the end
  std::thread accepting_;
};

}  // namespace hearth::tests
