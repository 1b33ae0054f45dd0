// The endpoints of `hearth serve` without sockets: a model that says what the test wants, a clock
// that the test moves, and answers that are kept.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "daemon/serve/api.hpp"
#include "tests/daemon/serve/scripted_model.hpp"

namespace hearth::tests {

struct ApiStage {
  struct Request {
    std::shared_ptr<KeptReply> reply;
    std::unique_ptr<daemon::HttpWork> work;
    KeptReply* operator->() const { return reply.get(); }
  };

  Request ask(const std::string& method, const std::string& path, const std::string& body) {
    Request request{std::make_shared<KeptReply>(), {}};
    daemon::HttpRequest asked;
    asked.head.method = method;
    asked.head.path = path;
    asked.body = body;
    asked.connection = 3;
    request.work = api.handle(std::move(asked), request.reply);
    return request;
  }
  Request post(const std::string& path, const nlohmann::json& body) {
    return ask("POST", path, body.dump());
  }

  explicit ApiStage(std::filesystem::path with_models = {}) : models(std::move(with_models)) {
    status.state = daemon::ModelStatus::State::ready;
    status.directory = "/models/scripted-1B";
    status.name = "scripted";
    status.context = 1000;
  }

  StillHost host;
  ScriptedModel model;
  daemon::ModelStatus status;
  std::filesystem::path models;  // those that have a name; empty: none
  bool busy = false;
  std::filesystem::path switched_to;
  daemon::Api api{host,
                  model,
                  model,
                  [this] { return status; },
                  {models, [this] { return busy; },
                   [this](std::filesystem::path to) { switched_to = std::move(to); }}};
};

}  // namespace hearth::tests
