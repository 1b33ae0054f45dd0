// A request that names another model.
#include "daemon/serve/model_switch.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/daemon/home.hpp"
#include "tests/daemon/serve/api_stage.hpp"
#include "tests/daemon/serve/http_client.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using daemon::ModelSwitch;
using nlohmann::json;
using std::chrono::seconds;
using tests::ApiStage;
using tests::contains;

namespace {

namespace fs = std::filesystem;

constexpr const char* chat = "/v1/chat/completions";

json question(const std::string& model) {
  return {{"model", model}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
}

struct Models {
  Models() {
    fs::create_directory(directory.path() / "one");
    fs::create_directory(directory.path() / "two");
  }
  tests::TemporaryDirectory directory;
};

struct SwitchingStage : ApiStage {
  explicit SwitchingStage(const Models& with) : ApiStage(with.directory.path()) {
    status.directory = (models / "one").string();
    daemon::ApiOptions options;
    options.switches = true;
    api.configure(options);
  }
};

}  // namespace

TEST_CASE("a request changes the model where that is allowed, and is told when to ask again") {
  const Models models;
  SwitchingStage stage(models);
  stage.host.pass(ModelSwitch::stay);
  const auto asked = stage.post(chat, question("two"));
  CHECK(asked->status == 503);
  CHECK(asked->header("Retry-After") == "5");
  CHECK(asked->error()["code"] == "model_switching");
  CHECK(asked->error()["message"] == "The daemon changes to two: ask again in 5 s");
  CHECK(stage.switched_to.empty());  // before that the answer is on its way
  CHECK(stage.post(chat, question("two"))->error()["message"] ==
        "The daemon is changing its model: ask again in 5 s");
  stage.host.pass(ModelSwitch::delay);
  CHECK(stage.switched_to == fs::canonical(stage.models / "two"));
  CHECK(stage.model.asked.empty());
}

TEST_CASE("a model stays while anybody needs it, and for five minutes") {
  const Models models;
  SwitchingStage stage(models);
  stage.host.pass(seconds(100));
  const auto young = stage.post(chat, question("two"));
  CHECK(young->status == 503);
  CHECK(young->header("Retry-After") == "200");
  CHECK(young->error()["message"] ==
        "one was loaded not long ago and stays for 5 minutes: ask again in 200 s");
  stage.busy = true;
  stage.host.pass(seconds(200));
  const auto busy = stage.post(chat, question("two"));
  CHECK(busy->status == 503);
  CHECK(busy->error()["code"] == "model_busy");
  CHECK(busy->header("Retry-After") == "30");
  // Work that comes between the answer and the change goes on.
  stage.busy = false;
  CHECK(stage.post(chat, question("two"))->error()["code"] == "model_switching");
  stage.busy = true;
  stage.host.pass(ModelSwitch::delay);
  CHECK(stage.switched_to.empty());
  CHECK_FALSE(stage.post(chat, question("one"))->ended);
  CHECK(stage.model.asked.size() == 1);
}

TEST_CASE("a name of no model is refused with those that there are; without the key none changes") {
  const Models models;
  SwitchingStage stage(models);
  stage.host.pass(ModelSwitch::stay);
  const auto unknown = stage.post(chat, question("three"));
  CHECK(unknown->status == 404);
  CHECK(unknown->error()["code"] == "model_not_found");
  CHECK(contains(unknown->error()["message"].get<std::string>(), "scripted, one, hearth"));
  CHECK(contains(unknown->error()["message"].get<std::string>(), "two"));
  const json listed = stage.ask("GET", "/v1/models", "")->json()["data"];
  CHECK(listed.size() == 3);
  CHECK(listed[2]["id"] == "two");
  stage.api.configure({});
  CHECK(stage.post(chat, question("two"))->status == 404);
  CHECK(stage.ask("GET", "/v1/models", "")->json()["data"].size() == 1);
  stage.host.pass(ModelSwitch::stay);
  CHECK(stage.switched_to.empty());
}

TEST_CASE("the daemon begins anew with the model that is asked for, and editors go on") {
  tests::Home home;
  fs::create_directories(home.paths().models);
  fs::create_directory(home.paths().models /
                       "empty");  // which cannot be loaded, so it has not to stay
  fs::create_directory_symlink(HEARTH_SOURCE_DIR "/engine/ember", home.paths().models / "small");
  home.configure("model = \"empty\"\n[serve]\nport = 0\nopen = true\nswitch = true\n");
  auto editor = home.editor(true);
  editor.initialize(json::object(), json::object());
  const auto url = [&] { return home.status()["serve"]["url"].get<std::string>(); };
  const auto client = [&] {
    tests::HttpClient made(
        static_cast<std::uint16_t>(std::stoi(url().substr(url().rfind(':') + 1))));
    made.token = home.hearth("serve --token").out;
    made.token.pop_back();
    return made;
  };
  while (home.status()["model"]["state"] == "loading") ::poll(nullptr, 0, 5);
  const pid_t process = home.daemon_pid();
  {
    tests::HttpClient first = client();
    const tests::HttpResult told = first.post(chat, question("small"));
    CHECK(told.status == 503);
    CHECK(told.headers.at("retry-after") == "5");
    CHECK(first.at_end());
  }
  json status;
  do {
    ::poll(nullptr, 0, 20);
    const auto control = home.control();
    status = control ? home.status() : json();
  } while (!status.is_object() || status["model"]["state"] != "ready");
  CHECK(home.daemon_pid() == process);
  CHECK(status["model"]["directory"] == HEARTH_SOURCE_DIR "/engine/ember");
  json body = question("small");
  body["max_tokens"] = 2;
  CHECK(client().post(chat, body).status == 200);
  editor.wait(editor.begin("hearth/status", nullptr));  // its proxy finds the daemon again
  CHECK(home.status()["clients"].size() == 1);
  CHECK(client().post(chat, question("empty")).status == 503);  // the new one stays
}
