// The lifecycle of a session and its documents; what answers requests lives in the features.
#include "lsp/server.hpp"

#include <utility>

#include "lsp/code_actions.hpp"
#include "lsp/inline_completion.hpp"
#include "lsp/model_status.hpp"
#include "lsp/rpc.hpp"
#include "lsp/session.hpp"

namespace hearth::lsp {
namespace {

// Of a client that was initialized.
struct Features {
  explicit Features(Session shared) : session(std::move(shared)) {}

  Session session;
  ModelStatus status{session};
  CodeActions code_actions{session};
  InlineCompletions inline_completions{session};
};

}  // namespace

struct Server::Impl {
  enum class Phase { created, initialized, shut_down, exited };

  Impl(Host& process_host, Model& shared_model, Jobs& shared_jobs, ServerOptions server_options,
       Rpc::Send send)
      : host(process_host),
        model(shared_model),
        jobs(shared_jobs),
        options(std::move(server_options)),
        rpc(host, std::move(send), [this](std::string_view method) { return refuse(method); }) {
    register_lifecycle();
    register_documents();
  }
  ~Impl() { rpc.close(); }

  std::optional<RpcError> refuse(std::string_view method) const;
  void register_lifecycle();
  void register_documents();
  Json initialize(const Json& params);

  Host& host;
  Model& model;
  Jobs& jobs;
  const ServerOptions options;
  Phase phase = Phase::created;
  std::optional<int> exit_code;
  Rpc rpc;
  std::unique_ptr<Features> features;  // from `initialize` on
};

// What may not be handled in this phase. Documents and requests need a session; `exit` always ends.
std::optional<RpcError> Server::Impl::refuse(std::string_view method) const {
  if (phase == Phase::exited) return RpcError{error_code::invalid_request, "the session has ended"};
  if (method == "exit") return std::nullopt;
  if (phase == Phase::shut_down) {
    return RpcError{error_code::invalid_request, "the session is shut down: only exit may follow"};
  }
  if (phase == Phase::created && method != "initialize") {
    return RpcError{error_code::server_not_initialized, "the first request has to be initialize"};
  }
  return std::nullopt;
}

void Server::Impl::register_lifecycle() {
  rpc.on_request("initialize", [this](const Json& params, Reply& reply) {
    if (phase != Phase::created) {
      reply.error(error_code::invalid_request, "the session is initialized already");
      return;
    }
    reply.result(initialize(params));
  });
  rpc.on_notification("initialized", [this](const Json&) { rpc.release(); });
  rpc.on_request("shutdown", [this](const Json&, Reply& reply) {
    phase = Phase::shut_down;
    reply.result(nullptr);
  });
  rpc.on_notification("exit", [this](const Json&) {
    exit_code = phase == Phase::shut_down ? 0 : 1;
    phase = Phase::exited;
  });
}

Json Server::Impl::initialize(const Json& params) {
  const Client client = read_client(params);
  features =
      std::make_unique<Features>(Session{host, model, jobs, rpc, options, client,
                                         Documents(client.encoding), std::make_shared<Syntax>()});
  phase = Phase::initialized;
  return initialize_result(client, options.version, CodeActions::commands(), CodeActions::kinds());
}

void Server::Impl::register_documents() {
  rpc.on_notification("textDocument/didOpen", [this](const Json& params) {
    features->session.syntax->open(features->session.documents.open(params));
  });
  rpc.on_notification("textDocument/didChange", [this](const Json& params) {
    const auto change = features->session.documents.change(params);
    features->session.syntax->change(change.before, change.after, change.edits);
    features->inline_completions.changed(change.after);
  });
  rpc.on_notification("textDocument/didClose", [this](const Json& params) {
    const std::string uri = features->session.documents.close(params);
    features->session.syntax->close(uri);
    features->inline_completions.closed(uri);
  });
}

Server::Server(Host& host, Model& model, Jobs& jobs, ServerOptions options,
               std::function<void(const Json&)> send)
    : impl_(std::make_unique<Impl>(host, model, jobs, std::move(options), std::move(send))) {}

Server::~Server() = default;

void Server::receive(std::string body) {
  impl_->rpc.receive(std::move(body));
}

std::optional<int> Server::exit_code() const {
  return impl_->exit_code;
}

}  // namespace hearth::lsp
