// A session with each client as it introduces itself (clients/NAME.json): every request is answered
// once, and nothing is sent that the client did not say it takes.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::string uri = "file:///project/stats.py";
const fs::path folder = fs::path(HEARTH_SOURCE_DIR) / "tests/lsp/clients";

json place(int first_line, int first, int last_line, int last) {
  return {{"start", {{"line", first_line}, {"character", first}}},
          {"end", {{"line", last_line}, {"character", last}}}};
}

class Session {
 public:
  // `complies`: the client does what it is asked for; else it answers with errors.
  Session(json initialize, bool complies) : params_(std::move(initialize)), complies_(complies) {
    model_.load();
  }

  void run() {
    request("initialize", params_);
    notify("initialized", json::object());
    open();
    notify("workspace/didChangeConfiguration", {{"settings", json::object()}});
    const json listed = menu(1);
    menu(2);
    for (const json& entry : listed) {
      const json& command = entry["command"].is_object() ? entry["command"] : entry;
      if (command["arguments"][0].contains("asks")) continue;
      model_.say({"Here:\n```python\ndef average(values):\n",
                  "    \"\"\"The mean.\"\"\"\n    return sum(values) / len(values)\n```\n"});
      request("workspace/executeCommand",
              {{"command", command["command"]}, {"arguments", command["arguments"]}});
      pass(std::chrono::seconds(2));
    }
    complete(2);
    type();
    const int cancelled = complete(1);
    notify("$/cancelRequest", {{"id", cancelled}});
    complete(1);
    pass(std::chrono::seconds(20));
    notify("textDocument/didSave", {{"textDocument", {{"uri", uri}}}});
    notify("$/setTrace", {{"value", "off"}});
    notify("textDocument/didClose", {{"textDocument", {{"uri", uri}}}});
    request("shutdown", nullptr);
    pass(std::chrono::seconds(1));
    notify("exit", nullptr);
    const std::size_t all = sent_;
    pass(std::chrono::seconds(60));
    CHECK(sent_ == all);  // nobody is there any more
    CHECK(server_.exit_code() == 0);
    for (const auto& [id, replies] : replies_) {
      CAPTURE(id);
      CHECK(replies == 1);
    }
  }
  std::size_t edits() const { return edits_; }

 private:
  bool has(std::initializer_list<const char*> path) const {
    const json* value = &params_["capabilities"];
    for (const char* step : path) {
      if (!value->is_object() || !value->contains(step)) return false;
      value = &(*value)[step];
    }
    return value->is_boolean() ? value->get<bool>() : !value->is_null();
  }
  bool has_feature(const char* feature) const {
    const json* options = find_path(params_, {"initializationOptions", "hearth", "features"});
    return options != nullptr && std::ranges::find(*options, feature) != options->end();
  }

  // Whether the client said that it takes this.
  bool takes(const std::string& method) const {
    if (method == "client/registerCapability")
      return has({"workspace", "didChangeWatchedFiles", "dynamicRegistration"});
    if (method == "window/workDoneProgress/create" || method == "$/progress")
      return has({"window", "workDoneProgress"});
    if (method == "window/showDocument") return has({"window", "showDocument", "support"});
    if (method == "workspace/applyEdit")
      return has({"workspace", "applyEdit"}) &&
             has({"workspace", "workspaceEdit", "documentChanges"});
    if (method == "workspace/textDocumentContent/refresh")
      return has({"workspace", "textDocumentContent"});
    if (method == "hearth/jobState" || method == "hearth/textDelta") return has_feature("jobs");
    if (method == "hearth/status") return has_feature("status");
    if (method == "hearth/inlineCompletionReady") return has_feature("inlineCompletion");
    return method == "window/showMessage";
  }

  void hear(const json& message) {
    ++sent_;
    if (!message.contains("method")) {
      ++replies_[message["id"].get<int>()];
      answers_[message["id"].get<int>()] = message;
      return;
    }
    const auto method = message["method"].get<std::string>();
    CAPTURE(message.dump());
    CHECK(replies_[1] == 1);  // nothing comes before the answer to initialize
    CHECK(takes(method));
    if (!message.contains("id")) return;
    CHECK(asked_.insert(message["id"]).second);
    json answer{{"id", message["id"]}};
    if (!complies_) {
      answer["error"] = {{"code", -32603}, {"message", "Internal error"}};
    } else if (method == "workspace/applyEdit") {
      ++edits_;
      answer["result"] = {{"applied", true}};
    } else if (method == "window/showDocument") {
      answer["result"] = {{"success", true}};
    } else {
      answer["result"] = nullptr;
    }
    host_.post([this, answer] { send(answer); });
  }

  void send(json message) {
    message["jsonrpc"] = "2.0";
    server_.receive(message.dump());
    host_.run();
  }
  int request(const char* method, const json& params) {
    const int id = ++last_id_;
    replies_[id];
    send({{"id", id}, {"method", method}, {"params", params}});
    return id;
  }
  void notify(const char* method, const json& params) {
    send({{"method", method}, {"params", params}});
  }
  void pass(std::chrono::milliseconds time) { host_.advance(time); }
  void open() {
    notify("textDocument/didOpen",
           {{"textDocument",
             {{"uri", uri},
              {"languageId", "python"},
              {"version", 0},
              {"text", "def average(values):\n    return sum(values) / len(values)\n\nx = \n"}}}});
  }
  void type() {
    notify("textDocument/didChange",
           {{"textDocument", {{"uri", uri}, {"version", 1}}},
            {"contentChanges", json::array({{{"range", place(3, 4, 3, 4)}, {"text", "av"}}})}});
  }
  json menu(int trigger) {
    const int id =
        request("textDocument/codeAction",
                {{"textDocument", {{"uri", uri}}},
                 {"range", place(0, 0, 1, 36)},
                 {"context", {{"diagnostics", json::array()}, {"triggerKind", trigger}}}});
    REQUIRE(answers_.contains(id));  // at once
    return answers_[id]["result"];
  }
  int complete(int trigger) {
    model_.say({"average([1])"});
    return request("textDocument/inlineCompletion", {{"textDocument", {{"uri", uri}}},
                                                     {"position", {{"line", 3}, {"character", 4}}},
                                                     {"context", {{"triggerKind", trigger}}}});
  }

  const json params_;
  const bool complies_;
  VirtualHost host_;
  ScriptedModel model_{host_};
  MemoryJobStore store_{host_};
  Jobs jobs_{host_, model_, store_};
  int last_id_ = 0;
  std::size_t sent_ = 0;
  std::size_t edits_ = 0;
  std::map<int, int> replies_;  // by the client's request
  std::map<int, json> answers_;
  std::set<json> asked_;  // the server's requests
  Server server_{host_, model_, jobs_, ServerOptions{},
                 [this](const json& message) { hear(message); }};
};

}  // namespace

TEST_CASE("a session with each client has one reply to a request, and nothing it does not take") {
  std::size_t clients = 0;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() != ".json") continue;
    ++clients;
    CAPTURE(file.path().filename().string());
    const json initialize = json::parse(std::ifstream(file.path()));
    Session complying(initialize, true);
    complying.run();
    const bool takes_edits = find_path(initialize, {"capabilities", "workspace", "workspaceEdit",
                                                    "documentChanges"}) != nullptr;
    CHECK((complying.edits() > 0) == takes_edits);
    Session refusing(initialize, false);
    refusing.run();
  }
  CHECK(clients >= 8);
}

}  // namespace hearth::lsp::test
