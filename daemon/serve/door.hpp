// The door of `hearth serve`: open or closed, where it listens, and who may come in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/platform/asio_host.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/serve/access.hpp"
#include "daemon/serve/api.hpp"
#include "daemon/serve/http_server.hpp"
#include "daemon/serve/tls.hpp"

namespace hearth::daemon {

struct DoorOptions {
  std::string listen = "127.0.0.1";
  std::uint16_t port = 0;
  TlsFiles tls;
  bool plain = false;  // without TLS at an address that is no loopback one
  std::vector<std::string> origins;
  ApiOptions api;
};

// On the Host's thread. What it is given outlives it.
class Door {
 public:
  Door(AsioHost& host, Paths paths, TokenModel& model, lsp::Model& completions,
       std::function<ModelStatus()> status, SwitchCalls switching);

  // Listens, unless it does already. Throws Error with what to do.
  void open(const DoorOptions& options);
  void close();
  // What changed applies at once; an open door moves where its address is another. Throws Error;
  // then it is closed.
  void configure(const DoorOptions& options);

  void forget() { api_.forget(); }

  bool is_open() const { return server_.has_value(); }
  std::string url() const;  // "http://127.0.0.1:4327/v1", of an open one
  // {"url", "connections", "requests"}; null: closed.
  nlohmann::json status() const;

 private:
  AsioHost& host_;
  const Paths paths_;
  DoorOptions options_;
  Access access_;
  Api api_;
  std::uint64_t requests_ = 0;
  std::shared_ptr<const ServerTls> tls_;  // null: plain
  std::optional<HttpServer> server_;
};

}  // namespace hearth::daemon
