// The endpoints of `hearth serve`: which path answers what, as OpenAI's and llama.cpp's servers do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/models/local.hpp"
#include "daemon/models/token_model.hpp"
#include "daemon/serve/api_error.hpp"
#include "daemon/serve/http.hpp"
#include "daemon/serve/model_switch.hpp"
#include "daemon/serve/turns.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

// What a person chose of it.
struct ApiOptions {
  lsp::Priority priority = lsp::Priority::background;
  std::vector<std::string> aliases;  // other names of the model
  bool switches = false;             // a request that names another model changes to it
  // Where a request says nothing of it.
  lsp::ThinkingMode thinking_mode = lsp::ThinkingMode::automatic;
  std::int64_t thinking_budget = 2048;
};

// On the Host's thread; what it is given outlives it, and it outlives its work. Callbacks of the
// model that come later than its end do nothing.
class Api {
 public:
  // `completions`: fills in the middle; may be `model`.
  Api(lsp::Host& host, TokenModel& model, lsp::Model& completions,
      std::function<ModelStatus()> status, SwitchCalls switching);

  void configure(ApiOptions options) { options_ = std::move(options); }

  // What was written in conversations is not found again.
  void forget() { turns_.clear(); }

  // As HttpService::handle.
  std::unique_ptr<HttpWork> handle(HttpRequest request, std::shared_ptr<HttpReply> reply);

 private:
  using Reply = std::shared_ptr<HttpReply>;
  // Throws ApiError where the request is refused.
  using Endpoint = std::unique_ptr<HttpWork> (Api::*)(const HttpRequest& request,
                                                      const Reply& reply);
  struct Route {
    const char* method;
    const char* path;
    Endpoint endpoint;
  };
  static const std::vector<Route>& routes();

  // Refuses a name that the model does not go by, or has the daemon change to another.
  void check_model(const nlohmann::json& body);

  std::unique_ptr<HttpWork> route(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> health(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> models(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> props(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> tokenize(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> detokenize(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> apply_template(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> chat(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> completion(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> fim(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> raw_completion(const HttpRequest& request, const Reply& reply);
  std::unique_ptr<HttpWork> infill(const HttpRequest& request, const Reply& reply);

  lsp::Host& host_;
  TokenModel& model_;
  lsp::Model& completions_;
  const std::function<ModelStatus()> status_;  // of the model
  ApiOptions options_;
  Turns turns_;
  ModelSwitch switch_;
};

}  // namespace hearth::daemon
