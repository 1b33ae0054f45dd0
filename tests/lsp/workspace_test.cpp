// A session with a workspace on the disk: what other files declare gets into prompts, follows what
// changes, and waits for those who wait.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/context/index_pool.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct World {
  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path());
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::unique_ptr<Server> server =
      std::make_unique<Server>(host, model, jobs, ServerOptions{}, [](const json&) {});

  World() {
    host.files = root.string();
    model.profile.surroundings = true;
    model.profile.context_tokens = 4096;
    model.load();
  }

  void file(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary) << text;
  }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server->receive(message.dump());
    host.run();
  }
  void connect(const std::string& folder) {
    send({{"id", 0},
          {"method", "initialize"},
          {"params",
           {{"capabilities", json::object()},
            {"workspaceFolders", json::array({{{"uri", uri(folder)}, {"name", "w"}}})}}}});
    send({{"method", "initialized"}});
  }
  void open(const std::string& name, const std::string& text) {
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri(name)}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}}});
  }
  void changed_on_disk(const std::string& name) {
    send({{"method", "workspace/didChangeWatchedFiles"},
          {"params", {{"changes", json::array({{{"uri", uri(name)}, {"type", 2}}})}}}});
    host.advance(Indexer::debounce);
  }
  // The user's turn of the prompt that explains the document's second line.
  std::string explain(const std::string& name) {
    model.say({"It."});
    const json place{{"line", 1}, {"character", 4}};
    send({{"id", "e"},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", "hearth.server.explain"},
            {"arguments", json::array({{{"uri", uri(name)},
                                        {"range", {{"start", place}, {"end", place}}}}})}}}});
    REQUIRE_FALSE(model.prompts.empty());
    const std::string text = text_of(model.prompts.back().messages.at(1).segments);
    host.advance(std::chrono::seconds{10});
    return text;
  }
};

const std::string app = "def go(x):\n    return mean(x)\n";

bool holds(const std::string& text, std::string_view words) {
  return text.find(words) != text.npos;
}

}  // namespace

TEST_CASE("what a session's files declare is shown, as it is by now") {
  World world;
  world.file("work/stats.py", "def mean(values):\n    pass\n");
  world.file("work/app.py", app);
  world.connect("work");
  world.open("work/app.py", app);
  CHECK(holds(world.explain("work/app.py"), "# stats.py\ndef mean(values)\n"));

  world.file("work/stats.py", "def mean(values, weights):\n    pass\n");
  world.changed_on_disk("work/stats.py");
  CHECK(holds(world.explain("work/app.py"), "def mean(values, weights)\n"));

  // What is typed there counts before it is saved.
  world.open("work/stats.py", "def mean(values, *, typed):\n    pass\n");
  world.host.advance(Indexer::debounce);
  CHECK(holds(world.explain("work/app.py"), "def mean(values, *, typed)\n"));
}

TEST_CASE("folders that come are read, and those that go are forgotten") {
  World world;
  world.file("work/app.py", app);
  world.file("more/stats.py", "def mean(values):\n    pass\n");
  world.connect("work");
  world.open("work/app.py", app);
  CHECK_FALSE(holds(world.explain("work/app.py"), "mean(values)"));
  const auto folders = [&](const char* change) {
    json event{{"added", json::array()}, {"removed", json::array()}};
    event[change].push_back({{"uri", world.uri("more")}, {"name", "more"}});
    world.send({{"method", "workspace/didChangeWorkspaceFolders"}, {"params", {{"event", event}}}});
  };
  folders("added");
  CHECK(holds(world.explain("work/app.py"), "# stats.py\ndef mean(values)\n"));
  folders("removed");
  CHECK_FALSE(holds(world.explain("work/app.py"), "mean(values)"));
}

TEST_CASE("sessions that the process gives its indexes share one by their folders") {
  World world;
  IndexPool indexes(world.host);
  world.file("work/stats.py", "def mean(values):\n    pass\n");
  world.file("work/app.py", app);
  world.file("more/app.py", app);
  ServerOptions options;
  options.indexes = &indexes;
  const auto window = [&](const char* folder) {
    world.server =
        std::make_unique<Server>(world.host, world.model, world.jobs, options, [](const json&) {});
    world.connect(folder);
    return std::move(world.server);
  };
  const auto first = window("work");
  const auto other = window("more");
  world.server = window("work");
  world.open("work/app.py", app);
  CHECK(holds(world.explain("work/app.py"), "# stats.py\ndef mean(values)\n"));
  CHECK(std::ranges::count(world.host.files_read, (world.root / "work/stats.py").string()) == 1);
  CHECK(indexes.indexes() == 2);
  world.server = window("more");
  world.open("more/app.py", app);
  CHECK_FALSE(holds(world.explain("more/app.py"), "mean(values)"));
  world.server.reset();  // before its indexes
}

TEST_CASE("folders are not read while a job runs or a person types") {
  World world;
  world.file("work/app.py", app);
  world.file("more/stats.py", "def mean(values):\n    pass\n");
  world.connect("work");
  world.open("work/app.py", app);
  world.model.say({"It", " is", " long"});
  const json place{{"line", 1}, {"character", 4}};
  world.send({{"id", "e"},
              {"method", "workspace/executeCommand"},
              {"params",
               {{"command", "hearth.server.explain"},
                {"arguments", json::array({{{"uri", world.uri("work/app.py")},
                                            {"range", {{"start", place}, {"end", place}}}}})}}}});
  REQUIRE(world.jobs.is_any_running());
  json event{{"added", json::array({{{"uri", world.uri("more")}, {"name", "more"}}})},
             {"removed", json::array()}};
  world.send({{"method", "workspace/didChangeWorkspaceFolders"}, {"params", {{"event", event}}}});
  const auto read = [&] {
    return std::ranges::find(world.host.files_read, (world.root / "more/stats.py").string()) !=
           world.host.files_read.end();
  };
  CHECK_FALSE(read());
  world.send({{"method", "textDocument/didChange"},
              {"params",
               {{"textDocument", {{"uri", world.uri("work/app.py")}, {"version", 2}}},
                {"contentChanges", json::array({{{"text", app + "\n"}}})}}}});
  while (world.jobs.is_any_running()) world.host.advance(std::chrono::milliseconds{100});
  CHECK_FALSE(read());
  world.host.advance(std::chrono::seconds{3});
  CHECK(read());
}

TEST_CASE("a session that ends while its files are read leaves nothing behind") {
  World world;
  for (int i = 0; i < 100; ++i) {
    world.file("work/f" + std::to_string(i) + ".py", "def mean(values):\n    pass\n");
  }
  world.server->receive(
      json{{"jsonrpc", "2.0"},
           {"id", 0},
           {"method", "initialize"},
           {"params",
            {{"capabilities", json::object()},
             {"workspaceFolders", json::array({{{"uri", world.uri("work")}, {"name", "w"}}})}}}}
          .dump());
  world.server.reset();
  world.host.run();
  world.host.advance(std::chrono::seconds{10});
  CHECK(world.host.files_read.empty());
}

}  // namespace hearth::lsp::test
