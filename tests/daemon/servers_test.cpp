// A daemon that asks another one's open door in place of an engine of its own, as a person uses it:
// who answers, what is said of it, and what happens when the server goes away.
#include <doctest/doctest.h>
#include <poll.h>

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

constexpr const char* question = "generate -p 'What is a list?' --temperature 0 --max-tokens 12 ";

// Somebody else's machine, which is this one.
struct Server {
  Server() {
    home.configure("[serve]\nport = 0\n");
    REQUIRE(home.hearth("serve").code == 0);
    url = home.status()["serve"]["url"];
    key = home.hearth("serve --token").out;
  }
  std::string host() const {  // with the port
    const std::size_t begin = url.find("//") + 2;
    return url.substr(begin, url.find('/', begin) - begin);
  }

  Home home;
  std::string url;
  std::string key;
};

struct User {
  explicit User(const Server& server, const std::string& more = "") {
    const std::string file = home.paths().config.parent_path() / "key";
    home.configure("[model]\nurl = \"" + server.url + "\"\nkey_file = \"" + file + "\"\n" + more);
    write_file(file, server.key);
  }
  // Until the server's state is this.
  Json wait_for(const std::string& state) const {
    for (;;) {
      Json server = home.status()["servers"][0];
      if (server["state"] == state) return server;
      ::poll(nullptr, 0, 20);
    }
  }
  Home home;
};

}  // namespace

TEST_CASE("a configured server answers, and everything says that it does") {
  const Server server;
  const User user(server);
  const std::string expected = server.home.hearth(question).out;

  const Finished answered = user.home.hearth(question);
  CHECK(answered.code == 0);
  CHECK(answered.out == expected);
  CHECK(contains(answered.err, ", by ember at 127.0.0.1"));

  const Json status = user.home.status();
  CHECK(status["model"].is_null());
  CHECK(status["servers"][0]["state"] == "ready");
  CHECK(status["servers"][0]["leavesMachine"] == false);
  CHECK(status["servers"][0]["requests"] == 1);
  CHECK_FALSE(contains(status.dump(), server.key.substr(0, 20)));
  const std::string shown = unbroken(user.home.hearth("status").out);
  CHECK(contains(shown, "ember at " + server.url));
  CHECK_FALSE(contains(shown, "leave this machine"));
  CHECK_FALSE(contains(read_file(user.home.paths().log(), 1 << 20), server.key.substr(0, 20)));

  const Finished doctor = user.home.hearth("doctor");
  CHECK(contains(unbroken(doctor.out), server.url + " answers, with the model ember"));
  const Finished door = user.home.hearth("serve");
  CHECK(door.code == 1);
  CHECK(contains(door.err, "ask that server"));
}

TEST_CASE("a job is answered by the server, and says so") {
  const Server server;
  const User user(server);
  ScriptedEditor editor = user.home.editor();
  Json job = Json::object();
  Json model;
  editor.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/jobState") job = params;
    if (method == "hearth/status") model = params["model"];
  };
  editor.initialize(Json::object(),
                    {{"hearth", {{"protocol", 3}, {"features", {"jobs", "status"}}}}});
  editor.open(stats_uri, "python", average);
  editor.request("workspace/executeCommand", explain_command(stats_uri, 5));
  editor.until([&] { return job.value("state", "") == "done" || job.contains("error"); });
  CHECK(job["state"] == "done");
  CHECK(model["state"] == "ready");
  CHECK_FALSE(model.contains("sentTo"));  // it is this machine
  CHECK(job["by"] == "ember at " + server.host());
  CHECK(contains(job["message"].get<std::string>(), "done, by ember at " + server.host()));
  CHECK(contains(user.home.hearth("jobs").out, ", by ember at 127.0.0.1"));
}

TEST_CASE("a completion is the server's, and says so; one of this machine's only engine does not") {
  const Server server;
  const User user(server);
  const auto detail_of = [](const Home& home) {
    ScriptedEditor editor = home.editor();
    editor.initialize(Json::object(),
                      {{"hearth", {{"protocol", 3}, {"features", {"inlineCompletion"}}}}});
    editor.open(stats_uri, "python", "def is_even(n):\n    return ");
    const Json answer = editor.request("textDocument/inlineCompletion", completion_at(1, 11));
    REQUIRE(answer.is_object());
    return answer["items"][0]["hearth"];
  };
  CHECK(detail_of(user.home)["by"] == "ember at " + server.host());
  CHECK_FALSE(detail_of(server.home).contains("by"));
}

TEST_CASE("a checkpoint of this machine answers while the server is away") {
  Server server;
  const User user(server, "path = \"" HEARTH_SOURCE_DIR "/engine/ember\"\n");
  REQUIRE(user.home.hearth("daemon").code == 0);
  user.wait_for("ready");
  CHECK(contains(user.home.hearth(question).err, ", by ember at 127.0.0.1"));
  REQUIRE(server.home.hearth("stop").code == 0);
  CHECK(contains(user.home.hearth(question).err, ", by ember on this machine"));
  user.wait_for("away");
  CHECK(contains(unbroken(user.home.hearth("status").out), "away"));
}

TEST_CASE("a server elsewhere is named wherever code would go to it, also while it is away") {
  Home home;
  home.configure("[model]\nurl = \"http://gpu.invalid/v1\"\npath = \"" HEARTH_SOURCE_DIR
                 "/engine/ember\"\n[inline]\nurl = \"http://small.invalid/v1\"\n");
  ScriptedEditor editor = home.editor();
  Json model = Json::object();
  editor.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/status") model = params["model"];
  };
  editor.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"status"}}}}});
  editor.until([&] { return model.contains("sentTo"); });
  CHECK(model["sentTo"] == Json{"gpu.invalid", "small.invalid"});
  const std::string shown = unbroken(home.hearth("status").out);
  CHECK(contains(shown, "prompts, with code in them, leave this machine for gpu.invalid"));
  CHECK(contains(shown, "prompts, with code in them, leave this machine for small.invalid"));
}

TEST_CASE("a wrong key is told with where it comes from") {
  Server server;
  server.key = "wrong";
  const User user(server);
  const Finished refused = user.home.hearth(question);
  CHECK(refused.code == 1);
  CHECK(contains(refused.err, "model.key_file"));
  CHECK_FALSE(contains(refused.err, "wrong"));
}
