// `hearth doctor`: what it sees of a good machine, and of what is wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;
using hearth::tests::TemporaryDirectory;
using hearth::tests::unbroken;

namespace fs = std::filesystem;

namespace {

const fs::path ember = HEARTH_SOURCE_DIR "/engine/ember";

// A checkpoint that a test may damage.
fs::path copy_of_ember(const TemporaryDirectory& directory) {
  const fs::path copy = directory.path() / "ember";
  fs::copy(ember, copy, fs::copy_options::recursive);
  return copy;
}

fs::path first_shard(const fs::path& model) {
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") return entry.path();
  }
  FAIL("there is no shard in " << model);
  return {};
}

// What it says of a subject: "problem", and so on.
std::string level_of(const Json& findings, const std::string& subject) {
  for (const Json& finding : findings) {
    if (finding["subject"] == subject) return finding["level"];
  }
  return "";
}

}  // namespace

TEST_CASE("doctor sees nothing wrong with a new user's hearth, and leaves nothing behind") {
  const Home home;
  const Finished seen = home.hearth("doctor --verify");
  CAPTURE(seen.out);
  CHECK(seen.code == 0);
  for (const char* part :
       {"program", "processor", "model", "context", "template", "memory", "experts fit", "disk",
        "every tensor was read", "state", "none runs", "editors"}) {
    CAPTURE(part);
    CHECK(contains(unbroken(seen.out), part));
  }
  CHECK_FALSE(contains(seen.out, "problem "));
  CHECK_FALSE(contains(seen.out, "\x1b"));
  CHECK_FALSE(fs::exists(home.paths().state));
  CHECK_FALSE(fs::exists(home.paths().runtime));

  const Json findings = Json::parse(home.hearth("doctor --json").out);
  CHECK(level_of(findings, "model") == "ok");
  CHECK(level_of(findings, "weights").empty());  // not asked for
}

TEST_CASE("doctor names what is wrong with a checkpoint") {
  const Home home;
  const TemporaryDirectory directory;
  const fs::path model = copy_of_ember(directory);
  const std::string arguments = "doctor --verify --model '" + model.string() + "'";
  const fs::path shard = first_shard(model);

  // The last weights are no numbers, in whatever format they are.
  const auto size = fs::file_size(shard);
  {
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size - 64));
    file << std::string(64, '\xff');
  }
  const Finished damaged = home.hearth(arguments);
  CAPTURE(damaged.out);
  CHECK(damaged.code == 1);
  CHECK(contains(damaged.out, "problem "));
  CHECK(contains(unbroken(damaged.out), "is not a number"));
  CHECK(contains(unbroken(damaged.out), "tensor "));
  CHECK(home.hearth("doctor --model '" + model.string() + "'").code == 0);  // only reading tells

  fs::resize_file(shard, size - 64);
  const Finished cut = home.hearth(arguments);
  CAPTURE(cut.out);
  CHECK(cut.code == 1);
  CHECK(contains(unbroken(cut.out), shard.filename().string()));

  fs::remove(shard);
  CHECK(home.hearth(arguments).code == 1);
}

TEST_CASE("doctor says which chat template a checkpoint has") {
  const Home home;
  const TemporaryDirectory directory;
  const fs::path model = copy_of_ember(directory);
  const auto seen = [&](const std::string& text) {
    hearth::daemon::write_file(model / "chat_template.jinja", text);
    const Json findings =
        Json::parse(home.hearth("doctor --json --model '" + model.string() + "'").out);
    for (const Json& finding : findings) {
      if (finding["subject"] == "template")
        return finding["level"].get<std::string>() + ": " + finding["seen"].get<std::string>();
    }
    return std::string();
  };
  const std::string tools = "<function= {%- if add_generation_prompt %}";
  const std::string thinks = "{%- if enable_thinking is defined and enable_thinking is false %}";
  CHECK(seen("{%- if add_generation_prompt %}") == "ok: ChatML's chat template");
  CHECK(seen(tools + "{%- if enable_thinking is defined and enable_thinking is true %}") ==
        "ok: Qwen3.5 (small)'s chat template; thinks where it is told to");
  CHECK(seen(tools + "preserve_thinking reasoning_effort" + thinks) ==
        "ok: Qwen3.8's chat template; thinks unless it is told not to; takes an effort");
  CHECK(contains(seen(thinks), "warning: one with a switch for thinking that is not known"));
}

TEST_CASE("doctor tells a checkpoint from another by its fingerprint") {
  const Home home;
  const TemporaryDirectory directory;
  const fs::path model = copy_of_ember(directory);
  const auto fingerprint = [&](const fs::path& of) {
    const Json findings =
        Json::parse(home.hearth("doctor --json --model '" + of.string() + "'").out);
    for (const Json& finding : findings) {
      const std::string seen = finding["seen"];
      const std::size_t at = seen.find("fingerprint ");
      if (finding["subject"] == "model" && at != std::string::npos) return seen.substr(at);
    }
    return std::string();
  };
  const std::string before = fingerprint(model);
  CHECK(before.size() == std::string("fingerprint ").size() + 16);
  CHECK(before == fingerprint(ember));
  // One blank of a header becomes another: all tensors are as before.
  std::fstream file(first_shard(model), std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t header = 0;
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  file.seekp(static_cast<std::streamoff>(sizeof header + header - 1));
  file << '\n';
  file.close();
  const std::string after = fingerprint(model);
  CHECK(after.size() == before.size());
  CHECK(after != before);
}

TEST_CASE("doctor names a wrong configuration, and a daemon whose model cannot be loaded") {
  Home home;
  home.configure("[model]\nisa = \"amiga\"\n");
  const Finished wrong = home.hearth("doctor");
  CAPTURE(wrong.out);
  CHECK(wrong.code == 1);
  CHECK(contains(wrong.out, "problem "));
  CHECK(contains(unbroken(wrong.out), "isa"));
  CHECK(contains(unbroken(wrong.out), "--print-config"));
  CHECK(contains(wrong.out, "limits"));  // it goes on

  const TemporaryDirectory directory;
  const fs::path model = copy_of_ember(directory);
  home.configure("[model]\npath = \"" + model.string() + "\"\n");
  fs::resize_file(first_shard(model), 100);
  auto editor = home.editor(true);  // keeps the daemon whose model fails
  editor.initialize(Json::object(), Json::object());
  while (home.status()["model"]["state"] == "loading") {
  }
  const Json findings = Json::parse(home.hearth("doctor --json").out);
  CAPTURE(findings.dump(1));
  CHECK(level_of(findings, "model") == "problem");
  CHECK(level_of(findings, "daemon") == "problem");
}

TEST_CASE("doctor says for which machines prompts leave this one, whether they answer or not") {
  Home home;
  home.configure("[model]\nurl = \"http://gpu.invalid/v1\"\n");
  const auto of_servers = [&] {
    std::vector<std::string> seen;
    for (const Json& finding : Json::parse(home.hearth("doctor --json").out)) {
      if (finding["subject"] == "server") seen.push_back(finding["seen"]);
    }
    return seen;
  };
  const std::string told = "prompts, with code in them, leave this machine for ";
  std::vector<std::string> seen = of_servers();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == told + "gpu.invalid");
  CHECK(contains(seen[1], "cannot reach gpu.invalid"));

  home.configure("[inline]\nurl = \"http://small.invalid:8080/v1\"\n");
  CHECK(of_servers().at(0) == told + "small.invalid");
  home.configure("[model]\nurl = \"http://127.0.0.1:1/v1\"\n");
  seen = of_servers();
  REQUIRE(seen.size() == 1);
  CHECK(contains(seen[0], "cannot reach 127.0.0.1"));
}

TEST_CASE("doctor looks at the second model as at the first, and at what it leaves") {
  Home home;
  home.configure("[inline]\nmodel = \"" + ember.string() + "\"\n");
  const Finished seen = home.hearth("doctor --json");
  CAPTURE(seen.out);
  CHECK(seen.code == 0);
  CHECK(level_of(Json::parse(seen.out), "inline") == "ok");
  CHECK(contains(seen.out, ember.string() + ": 8 layers"));
  CHECK(contains(seen.out, "it takes "));

  home.configure("[inline]\nmodel = \"/nowhere/at-all\"\n");
  const Finished missing = home.hearth("doctor --json");
  CHECK(missing.code == 1);
  CHECK(level_of(Json::parse(missing.out), "inline") == "problem");
  CHECK(level_of(Json::parse(missing.out), "model") == "ok");
}
