// Opening, moving and closing; what passes the door's checks goes to the Api.
#include "daemon/serve/door.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {

Door::Door(AsioHost& host, Paths paths, TokenModel& model, lsp::Model& completions,
           std::function<ModelStatus()> status, SwitchCalls switching)
    : host_(host),
      paths_(std::move(paths)),
      api_(host, model, completions, std::move(status), std::move(switching)) {}

void Door::open(const DoorOptions& options) {
  options_ = options;
  api_.configure(options.api);
  access_.listen = options.listen;
  access_.origins = options.origins;
  if (server_) return;
  const bool has_tls = options.tls != TlsFiles{};
  if (!is_loopback(options.listen) && !options.plain && !has_tls) {
    throw Error("serve.listen = \"" + options.listen +
                "\" lets other machines in, and what they send and get would be readable on its "
                "way: serve.certificate and serve.key encrypt it, or serve.plain = true says that "
                "this is meant");
  }
  tls_ = has_tls ? std::make_shared<ServerTls>(options.tls) : nullptr;
  access_.certified = nullptr;
  if (tls_) access_.certified = [this](const std::string& host) { return tls_->is_for(host); };
  access_.token = serve_token(paths_);
  server_.emplace(host_, options.listen, options.port,
                  HttpService{[this](const HttpHead& head) { return admit(head, access_); },
                              [this](HttpRequest request, std::shared_ptr<HttpReply> reply) {
                                ++requests_;
                                return api_.handle(std::move(request), std::move(reply));
                              }},
                  HttpLimits{}, tls_);
  host_.log(lsp::LogLevel::info, "serving at " + url());
}

void Door::close() {
  if (!server_) return;
  server_.reset();
  host_.log(lsp::LogLevel::info, "serving no more");
}

void Door::configure(const DoorOptions& options) {
  const bool moves = options.listen != options_.listen || options.port != options_.port ||
                     options.plain != options_.plain || options.tls != options_.tls;
  if (!is_open()) return;
  if (moves) close();
  open(options);
}

std::string Door::url() const {
  const bool six = options_.listen.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}/v1", tls_ ? "https" : "http",
                     six ? "[" + options_.listen + "]" : options_.listen, server_->port());
}

nlohmann::json Door::status() const {
  if (!is_open()) return nullptr;
  return {{"url", url()}, {"connections", server_->connections()}, {"requests", requests_}};
}

}  // namespace hearth::daemon
