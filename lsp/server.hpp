// One editor's session: the LSP lifecycle, its documents and requests. Speaks typed JSON messages;
// bytes and framing are the transport's (lsp/wire.hpp), features live in their own files.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace hearth::lsp {

class Host;
class Jobs;
class Model;

struct ServerOptions {
  std::string version;  // for serverInfo
  std::chrono::milliseconds inline_hold{
      10'000};  // inline.hold: how long an Automatic reply may wait
  std::int64_t inline_max_tokens = 64;
  std::int64_t answer_max_tokens = 512;
};

// All methods on the Host's thread. Destroying it cancels what it alone was waiting for.
class Server {
 public:
  // `send` takes a whole message. Host, model and jobs outlive the server.
  Server(Host& host, Model& model, Jobs& jobs, ServerOptions options,
         std::function<void(const nlohmann::json&)> send);
  ~Server();

  // A message's body as it came. Invalid JSON or an invalid message is answered with the
  // protocol's error; nothing is thrown.
  void receive(std::string body);
  // Set once `exit` came: 0 after shutdown, else 1. The transport then closes.
  std::optional<int> exit_code() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::lsp
