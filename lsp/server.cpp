// The lifecycle of a session and its documents; what answers requests lives in the features.
#include "lsp/server.hpp"

#include <utility>

#include "lsp/actions/code_actions.hpp"
#include "lsp/completion/inline_completion.hpp"
#include "lsp/jobs/model_status.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/rpc.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/session.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/parse_guard.hpp"

namespace hearth::lsp {
namespace {

// A larger message is parsed elsewhere: it would keep other sessions waiting.
constexpr std::size_t max_bytes_at_once = 128 * 1024;

// The features of a client that was initialized.
struct Features {
  Features(Host& host, Model& model, Jobs& jobs, Rpc& rpc, const ServerOptions& options,
           const Client& client)
      : session(host, model, jobs, rpc, options, client) {}

  EditorSession session;
  ModelStatus status{session.shown};
  CodeActions code_actions{session.shown};
  InlineCompletions inline_completions{session.shown};  // has a command beside the actions'
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
        rpc(host, std::move(send), [this](std::string_view method) { return hear(method); }) {
    register_lifecycle();
    register_documents();
    register_files();
  }
  ~Impl() { rpc.close(); }

  std::optional<RpcError> hear(std::string_view method);
  std::optional<RpcError> refuse(std::string_view method) const;
  void register_lifecycle();
  void register_documents();
  void register_files();
  void watch_files();
  void tell_outdated(std::int64_t protocol);
  void tell_unparsed(const Snapshot& document);
  void receive_large(std::string body);
  void update(Documents::Update update);
  void changed(Documents::Update update);
  void lost(const Json& begun, const std::string& reason);
  void elsewhere(std::function<void()> work, std::function<void()> then);
  Json initialize(const Json& params);

  Host& host;
  Model& model;
  Jobs& jobs;
  ServerOptions options;
  Json said_settings;  // by the editor; null: nothing
  Phase phase = Phase::created;
  std::optional<int> exit_code;
  Rpc rpc;
  std::unique_ptr<Features> features;  // from `initialize` on
  int busy = 0;                        // what is under way elsewhere
  std::function<void()> ready;
  Lifetime lifetime;
};

std::optional<RpcError> Server::Impl::hear(std::string_view method) {
  if (features) features->inline_completions.heard(method);
  return refuse(method);
}

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
    rpc.release_with_request();
  });
  rpc.on_notification("initialized", [this](const Json&) { rpc.release(); });
  rpc.on_request("shutdown", [this](const Json&, Reply& reply) {
    phase = Phase::shut_down;
    reply.result(nullptr);
  });
  rpc.on_notification("exit", [this](const Json&) {
    exit_code = phase == Phase::shut_down ? 0 : 1;
    phase = Phase::exited;
    rpc.close();
    features.reset();  // its jobs go on without it
  });
}

Json Server::Impl::initialize(const Json& params) {
  const Client client = read_client(params);
  features = std::make_unique<Features>(host, model, jobs, rpc, options, client);
  said_settings = client.settings;
  phase = Phase::initialized;
  if (client.refused_protocol > 0) tell_outdated(client.refused_protocol);
  features->session.change_folders(client.folders);
  if (client.registers_watchers) watch_files();
  Json commands = CodeActions::commands();
  commands.push_back(InlineCompletions::accepted_command);
  return initialize_result(client, options.version, commands, Menu::kinds());
}

void Server::Impl::tell_outdated(std::int64_t protocol) {
  constexpr int warning = 2;
  rpc.notify(
      "window/showMessage",
      {{"type", warning},
       {"message", "hearth speaks version " + std::to_string(extension::protocol_version) +
                       " of its extension protocol, and this editor's plugin version " +
                       std::to_string(protocol) + ": install the plugin that comes with hearth"}});
}

void Server::Impl::tell_unparsed(const Snapshot& document) {
  rpc.notify("window/showMessage",
             {{"type", message_type::warning},
              {"message", "hearth's daemon ended while it parsed " +
                              display_path(document.uri, features->session.folders) +
                              ". That file is served by its lines now, without its syntax, until "
                              "`hearth stop`."}});
}

void Server::Impl::register_documents() {
  rpc.on_notification("workspace/didChangeConfiguration", [this](const Json& params) {
    // Of other servers' settings nothing is ours; null asks us to ask, which no setting needs.
    Session& session = features->session.shown;
    if (const Json* said = find_path(params, {"settings", "hearth"})) {
      session.settings = changed_settings(options.settings, *said);
      said_settings = *said;
    }
  });
  rpc.on_notification("textDocument/didOpen", [this](Json& params) {
    update(features->session.documents.opening(params));
  });
  rpc.on_notification("textDocument/didChange", [this](Json& params) {
    update(features->session.documents.changing(params));
  });
  rpc.on_loss([this](const Json& begun, const std::string& reason) { lost(begun, reason); });
  rpc.on_notification("textDocument/didClose", [this](const Json& params) {
    const std::string uri = features->session.documents.close(params);
    features->session.syntax->close(uri);
    features->session.indexer.changed(uri);
    features->session.recent_edits.closed(uri);
    features->inline_completions.closed(uri);
  });
}

// Of the workspace, whether they are open or not.
void Server::Impl::register_files() {
  rpc.on_notification("workspace/didChangeWorkspaceFolders", [this](const Json& params) {
    std::vector<std::string> folders = features->session.folders;
    change_folders(params, folders);
    features->session.change_folders(std::move(folders));
  });
  rpc.on_notification("workspace/didChangeWatchedFiles", [this](const Json& params) {
    for (const Json& change : array_member(params, "changes")) {
      features->session.indexer.changed(string_member(change, "uri"));
    }
  });
  rpc.on_notification("textDocument/didSave", [this](const Json& params) {
    features->session.indexer.changed(string_member(member(params, "textDocument"), "uri"));
  });
}

void Server::Impl::watch_files() {
  Json watchers = Json::array();
  for (const std::string& pattern : Indexer::patterns()) {
    watchers.push_back({{"globPattern", pattern}});
  }
  const Json watching{{"id", "files"},
                      {"method", "workspace/didChangeWatchedFiles"},
                      {"registerOptions", {{"watchers", std::move(watchers)}}}};
  rpc.request("client/registerCapability", {{"registrations", Json::array({watching})}},
              [](const auto&) {});
}

void Server::Impl::update(Documents::Update update) {
  if (!update.takes_long()) {
    update.make();
    changed(std::move(update));
    return;
  }
  const auto made = std::make_shared<Documents::Update>(std::move(update));
  elsewhere([made] { made->make(); }, [this, made] { changed(std::move(*made)); });
}

void Server::Impl::changed(Documents::Update update) {
  if (!features) return;  // the session ended meanwhile
  const std::string uri = update.uri();
  EditorSession& session = features->session;
  Documents::Change change;
  try {
    change = session.documents.finish(std::move(update));
  } catch (const InvalidParams&) {
    features->inline_completions.closed(uri);
    throw;
  }
  if (!change.after) return;
  session.indexer.changed(uri);
  if (change.before) {
    session.last_typed = host.now();
    session.recent_edits.changed(*change.before, *change.after, change.edits);
    session.syntax->change(change.before, change.after, change.edits);
    features->inline_completions.changed(change.after);
    return;
  }
  session.syntax->open(change.after);
  features->code_actions.opened();
  if (options.parse_guard != nullptr && options.parse_guard->is_news(uri))
    tell_unparsed(*change.after);
}

void Server::Impl::lost(const Json& begun, const std::string& reason) {
  if (!features) return;
  for (const std::string& uri : features->session.documents.lost(begun, reason))
    features->inline_completions.closed(uri);
}

void Server::Impl::receive_large(std::string body) {
  struct Large {
    std::string body;
    Rpc::Parsed parsed;
  };
  const auto message = std::make_shared<Large>(Large{std::move(body), Json()});
  elsewhere([message] { message->parsed = Rpc::parse(std::move(message->body)); },
            [this, message] { rpc.take(std::move(message->parsed)); });
}

// Runs `work` on another thread, then `then` on this one. Nothing is received in between.
void Server::Impl::elsewhere(std::function<void()> work, std::function<void()> then) {
  host.background(std::move(work), lifetime.guard([this, then = std::move(then)] {
    try {
      then();
    } catch (const std::exception& error) {
      host.log(LogLevel::error, "a large message could not be handled");
      host.log(LogLevel::trace, error.what());
    }
    if (--busy == 0 && ready) ready();
  }));
  ++busy;
}

Server::Server(Host& host, Model& model, Jobs& jobs, ServerOptions options,
               std::function<void(const Json&)> send)
    : impl_(std::make_unique<Impl>(host, model, jobs, std::move(options), std::move(send))) {}

Server::~Server() = default;

void Server::receive(std::string body) {
  if (body.size() > max_bytes_at_once) {
    impl_->receive_large(std::move(body));
  } else {
    impl_->rpc.receive(std::move(body));
  }
}

bool Server::busy() const {
  return impl_->busy > 0;
}

void Server::on_ready(std::function<void()> ready) {
  impl_->ready = std::move(ready);
}

void Server::configure(const ServerOptions& options) {
  ServerOptions& now = impl_->options;
  now.inline_hold = options.inline_hold;
  now.inline_debounce = options.inline_debounce;
  now.inline_max_tokens = options.inline_max_tokens;
  now.inline_max_read = options.inline_max_read;
  now.answer_max_tokens = options.answer_max_tokens;
  now.thinking_mode = options.thinking_mode;
  now.thinking_budget = options.thinking_budget;
  now.settings = options.settings;
  const bool noticed = now.notices != options.notices;
  now.notices = options.notices;
  if (!impl_->features) return;
  impl_->features->session.shown.settings = changed_settings(now.settings, impl_->said_settings);
  if (noticed) impl_->features->status.notify();
}

void Server::warn(const std::string& message) {
  if (!impl_->features) return;
  impl_->rpc.notify("window/showMessage", {{"type", message_type::warning}, {"message", message}});
}

std::optional<IndexStatistics> Server::index_statistics() const {
  if (!impl_->features || impl_->features->session.folders.empty()) return std::nullopt;
  return impl_->features->session.shown.index->statistics();
}

std::optional<int> Server::exit_code() const {
  return impl_->exit_code;
}

}  // namespace hearth::lsp
