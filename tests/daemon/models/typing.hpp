// An editor's session with the local model in one process: documents that are edited as a person
// does it, completions and actions that are waited for, and what the engine counted of them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "daemon/models/local.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/server.hpp"
#include "tests/daemon/queue_host.hpp"

namespace hearth::tests {

// The local model; remembers the newest prompt, and says that it was measured to be as fast as it
// is told to be.
class WatchedModel final : public daemon::LocalModel {
 public:
  WatchedModel(lsp::Host& host, engine::EngineOptions options, std::optional<double> speed)
      : LocalModel(host, std::move(options)), speed_(speed) {}

  void describe(lsp::Callback<lsp::ModelDescription> done) override {
    LocalModel::describe([this, done](lsp::Result<lsp::ModelDescription> result) {
      if (auto* model = std::get_if<lsp::ModelDescription>(&result); model != nullptr && speed_) {
        model->profile.completion_speed = speed_;
      }
      done(std::move(result));
    });
  }
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override {
    last = prompt;
    return LocalModel::generate(std::move(prompt), std::move(options), std::move(events));
  }

  lsp::Prompt last;

 private:
  std::optional<double> speed_;
};

struct Tokens {
  std::uint64_t prompt = 0;  // asked for
  std::uint64_t cached = 0;  // of them, not read again

  std::uint64_t read() const { return prompt - cached; }
  Tokens operator-(const Tokens& before) const {
    return {prompt - before.prompt, cached - before.cached};
  }
};

class Typing {
 public:
  using Json = nlohmann::json;

  explicit Typing(engine::EngineOptions options, std::optional<double> speed = std::nullopt,
                  std::int64_t max_tokens = 2)
      : model_(host_, std::move(options), speed), store_(host_), jobs_(host_, model_, store_) {
    lsp::ServerOptions server;
    server.inline_max_tokens = max_tokens;
    server.answer_max_tokens = max_tokens;
    server.inline_debounce = std::chrono::milliseconds(0);  // this host has no timers
    server_.emplace(host_, model_, jobs_, server, [this](const Json& message) { take(message); });
    request("initialize",
            {{"clientInfo", {{"name", "Visual Studio Code"}}}, {"capabilities", Json::object()}});
    notify("initialized", Json::object());
  }

  void open(const std::string& uri, const std::string& language, const std::string& text) {
    texts_[uri] = text;
    notify("textDocument/didOpen",
           {{"textDocument",
             {{"uri", uri}, {"languageId", language}, {"version", 1}, {"text", text}}}});
  }
  const std::string& text(const std::string& uri) { return texts_.at(uri); }

  // ASCII only: a byte is a character in every encoding.
  void replace(const std::string& uri, std::size_t at, std::size_t count, const std::string& with) {
    std::string& text = texts_.at(uri);
    const Json range{{"start", position(text, at)}, {"end", position(text, at + count)}};
    text.replace(at, count, with);
    notify("textDocument/didChange",
           {{"textDocument", {{"uri", uri}, {"version", ++version_}}},
            {"contentChanges", Json::array({{{"range", range}, {"text", with}}})}});
  }
  // The reply's result.
  Json complete(const std::string& uri, std::size_t at, bool invoked = false) {
    return request("textDocument/inlineCompletion",
                   {{"textDocument", {{"uri", uri}}},
                    {"position", position(texts_.at(uri), at)},
                    {"context", {{"triggerKind", invoked ? 1 : 2}}}});
  }
  // Runs an action for the text from `at` on, to its end.
  void run(const std::string& command, const std::string& uri, std::size_t at, std::size_t count) {
    const std::string& text = texts_.at(uri);
    request("workspace/executeCommand",
            {{"command", command},
             {"arguments", Json::array({{{"uri", uri},
                                         {"range",
                                          {{"start", position(text, at)},
                                           {"end", position(text, at + count)}}}}})}});
    host_.run_until([this] {
      for (const auto* job : jobs_.all()) {
        if (!lsp::ended(job->state)) return false;
      }
      return true;
    });
  }

  Tokens tokens() const {
    const daemon::ModelStatus status = model_.status();
    return {status.prompt_tokens, status.cached_tokens};
  }
  std::uint64_t requests() const { return model_.status().requests; }
  const lsp::Prompt& prompt() const { return model_.last; }
  std::uint64_t count(const std::string& text) {
    std::optional<std::int64_t> counted;
    model_.count_tokens({text}, [&](const lsp::Result<std::vector<std::int64_t>>& result) {
      counted = std::get<std::vector<std::int64_t>>(result).front();
    });
    host_.run_until([&] { return counted.has_value(); });
    return static_cast<std::uint64_t>(*counted);
  }

 private:
  static Json position(const std::string& text, std::size_t at) {
    const std::string before = text.substr(0, at);
    const std::size_t line = before.rfind('\n') + 1;  // npos + 1 is 0
    return {{"line", std::count(before.begin(), before.end(), '\n')}, {"character", at - line}};
  }
  void take(const Json& message) {
    if (message.contains("method")) return;
    replies_[message.at("id").get<int>()] = message;
  }
  void notify(const std::string& method, Json params) {
    server_->receive(
        Json{{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}}.dump());
  }
  Json request(const std::string& method, Json params) {
    const int id = ++id_;
    server_->receive(
        Json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}}
            .dump());
    host_.run_until([&] { return replies_.contains(id); });
    const Json reply = replies_.at(id);
    replies_.erase(id);
    REQUIRE_MESSAGE(!reply.contains("error"), reply.dump());
    return reply["result"];
  }

  QueueHost host_;
  WatchedModel model_;
  lsp::MemoryJobStore store_;
  lsp::Jobs jobs_;
  std::optional<lsp::Server> server_;
  std::map<std::string, std::string> texts_;  // by URI
  std::map<int, Json> replies_;
  int id_ = 0;
  int version_ = 1;
};

}  // namespace hearth::tests
