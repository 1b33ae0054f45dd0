// One editor's session: the LSP lifecycle, its documents and requests. Speaks typed JSON messages;
// bytes and framing are the transport's (lsp/protocol/wire.hpp), features live in their own files.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "lsp/context/index.hpp"
#include "lsp/support/options.hpp"

namespace hearth::lsp {

class Host;
class Jobs;
class Model;

// All methods on the Host's thread. Its jobs go on when it is destroyed.
class Server {
 public:
  // `send` takes a whole message. Host, model and jobs outlive the server.
  Server(Host& host, Model& model, Jobs& jobs, ServerOptions options,
         std::function<void(const nlohmann::json&)> send);
  ~Server();

  // A message's body as it came. Invalid JSON or an invalid message is answered with the
  // protocol's error; only std::bad_alloc is thrown. Not to be called while busy().
  void receive(std::string body);
  // A large message is being worked on elsewhere, and what follows it has to wait. `ready` is
  // called when it is done, every time.
  bool busy() const;
  void on_ready(std::function<void()> ready);
  // The process's configuration has changed: what `options` says from now on, but for counts,
  // guard, wording and the model of completions, which stay. What the editor said itself goes
  // before it.
  void configure(const ServerOptions& options);
  // window/showMessage: a warning. Nothing before `initialize`.
  void warn(const std::string& message);
  // Of the workspace's index; nothing before `initialize`, and where the client has no folders.
  std::optional<IndexStatistics> index_statistics() const;
  // Set once `exit` came: 0 after shutdown, else 1. The transport then closes.
  std::optional<int> exit_code() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::lsp
