// Models by name: `hearth models`, `pull`, `use` and `rm`, as a person types them.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/hub/hub_server.hpp"

using namespace hearth::tests;
using hearth::daemon::read_file;

namespace fs = std::filesystem;

namespace {

constexpr const char* described = " --ram 28G --memory 50G/s --disk 3.5G/s --arithmetic 500G/s";

Json models_of(const Home& home) {
  const Finished listed = home.hearth("models --json" + std::string(described));
  REQUIRE(listed.code == 0);
  return Json::parse(listed.out)["models"];
}

}  // namespace

TEST_CASE("a model is pulled, listed, used by its name and removed") {
  HubServer server(HEARTH_SOURCE_DIR "/engine/ember");
  Home home;
  const auto hearth = [&](const std::string& arguments) {
    return home.hearth_of(program(), arguments,
                          {{"HF_ENDPOINT", server.origin()}, {"HF_TOKEN", ""}});
  };
  const fs::path folder = home.paths().models / "ember";
  const Finished pulled = hearth("pull tests/ember");
  CAPTURE(pulled.err);
  CHECK(pulled.code == 0);
  CHECK(
      contains(pulled.out, "tests/ember from " + server.origin() + ", commit 111111111111 (main)"));
  CHECK(contains(pulled.out, "ember is here, every file verified: " + folder.string() + "\n"));
  CHECK(hearth("pull ember").out ==
        "ember is here already: " + folder.string() + "\n`hearth use ember` runs it.\n");

  const Json listed = models_of(home)[0];
  CHECK(listed["name"] == "ember");
  CHECK(listed["family"] == "qwen3_next");
  CHECK(listed["fits"] == true);
  CHECK(listed["decodeTokensPerSecond"].get<double>() > 0);
  CHECK_FALSE(listed.contains("current"));

  // It is used under its name, in whatever capitals, and the daemon begins anew with it.
  home.configure("# mine\n");
  home.hearth("daemon");
  const pid_t first = home.daemon_pid();
  const Finished used = hearth("use Ember");
  CAPTURE(used.err);
  CHECK(used.code == 0);
  CHECK(contains(used.out, "It takes "));
  CHECK(contains(used.out, "/engine/ember leaves the memory, "));
  CHECK(contains(used.out, " of experts.\n"));
  CHECK(read_file(home.paths().config, 1000) == "# mine\n\n[model]\npath = \"ember\"\n");
  CHECK(home.daemon_pid() != first);
  CHECK(home.status()["model"]["directory"] == fs::canonical(folder).string());
  CHECK(models_of(home)[0]["current"] == true);
  CHECK(contains(home.hearth("models" + std::string(described)).out, "\n* ember "));

  // What is configured stays; then it goes.
  CHECK(contains(hearth("rm ember").err, "is the model that is configured"));
  CHECK(hearth("use " HEARTH_SOURCE_DIR "/engine/ember").code == 0);
  const Finished removed = hearth("rm ember");
  CAPTURE(removed.err);
  CHECK(removed.code == 0);
  CHECK(removed.out.starts_with("ember is removed: 22."));
  CHECK_FALSE(fs::exists(folder));
  CHECK(contains(hearth("rm ember").err, "there is no model \"ember\""));
  CHECK(contains(hearth("use ember").err,
                 "there is no model ember (from the command line): `hearth models` lists"));
}

TEST_CASE("what was begun is listed, goes on by its name, or is removed") {
  HubFaults faults;
  faults.missing = "model-00002-of-00002.safetensors";
  HubServer server(HEARTH_SOURCE_DIR "/engine/ember", faults);
  Home home;
  const auto hearth = [&](const std::string& arguments) {
    return home.hearth_of(program(), arguments,
                          {{"HF_ENDPOINT", server.origin()}, {"HF_TOKEN", ""}});
  };
  const Finished failed = hearth("pull tests/ember --name mine --connections 1");
  CHECK(failed.code == 1);
  CHECK(contains(failed.err, " has no tests/ember/model-00002-of-00002.safetensors (404)."));
  CHECK(contains(failed.err, "What has come is kept: the same command goes on with it.\n"));
  const Json begun = models_of(home)[0];
  CHECK(begun["name"] == "mine");
  CHECK(begun["bytes"].get<std::uint64_t>() > 11'000'000);
  CHECK(begun["bytesTotal"].get<std::uint64_t>() > begun["bytes"].get<std::uint64_t>());
  CHECK(
      contains(home.hearth("models" + std::string(described)).out, "`hearth pull mine` goes on\n"));
  CHECK(contains(hearth("use mine").err, "there is no model mine"));
  SUBCASE("goes on") {
    server.change([](HubFaults& none) { none.missing.clear(); });
    const Finished pulled = home.hearth("pull mine");  // from where it came
    CHECK(pulled.code == 0);
    CHECK(contains(pulled.out, "11.2 MB of it are here already.\n"));
  }
  SUBCASE("removed") {
    CHECK(hearth("rm mine").code == 0);
    CHECK(models_of(home)[0]["here"] == false);
  }
}

TEST_CASE("a configuration names its model by name, in a line or in its section") {
  Home home;
  fs::create_directories(home.paths().models);
  fs::copy(HEARTH_SOURCE_DIR "/engine/ember", home.paths().models / "Small",
           fs::copy_options::recursive);
  for (const char* toml : {"model = \"Small\"\n", "[model]\npath = \"small\"\n"}) {
    CAPTURE(toml);
    home.configure(toml);
    CHECK(contains(home.hearth("model").out, "/hearth/models/Small: "));
  }
  home.configure("# mine\nmodel = \"Small\"  # fast\n");
  CHECK(home.hearth("use " HEARTH_SOURCE_DIR "/engine/ember").code == 0);
  CHECK(read_file(home.paths().config, 1000) == "# mine\nmodel = \"" HEARTH_SOURCE_DIR
                                                "/engine/ember\"  # fast\n");
  home.configure("model = \"large\"\n");
  CHECK(contains(home.hearth("model").err,
                 "there is no model large (from model.path of the configuration): `hearth models` "
                 "lists those that are here, `hearth pull` downloads others"));
  home.configure("model = \"../x\"\n");
  CHECK(contains(home.hearth("model").err,
                 "config.toml:1: model.path must be a path that begins with / or ~/, or a name"));
}

TEST_CASE("what cannot be pulled is told before anything is made") {
  const Home home;
  const auto why = [&](const std::string& arguments, const std::string& endpoint = "") {
    const Finished finished = home.hearth_of(program(), "pull " + arguments,
                                             {{"HF_ENDPOINT", endpoint}, {"HF_TOKEN", ""}});
    CHECK(finished.code != 0);
    return finished.err;
  };
  CHECK(contains(why("nothing"), "no model \"nothing\" is known (`hearth models` lists"));
  CHECK(contains(why("a/b/c"), "\"a/b/c\" is no model's name: OWNER/NAME is expected"));
  CHECK(contains(why("a/b --name ../c"), "\"../c\" is no name for a model"));
  CHECK(contains(why("a/b", "http://hub.example"), "only https is used"));
  CHECK(contains(why("http://hub.example/a/b"), "only https is used"));
  CHECK(contains(why("a/b --connections 0"), "--connections"));
  CHECK(contains(why("a/b", "http://127.0.0.1:1"), "cannot reach 127.0.0.1: Connection refused"));
  CHECK_FALSE(fs::exists(home.paths().models));
}
