// A daemon with a second checkpoint, inline.model: whose word a completion is, what the other one
// writes meanwhile, and what is said where there is none.
#include <doctest/doctest.h>
#include <poll.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

constexpr const char* completion =
    "generate --fim-prefix 'def total(items):\n    sum = '"
    " --fim-suffix '\n' --max-tokens 12 ";
constexpr const char* explanation =
    "generate --raw -p 'def average(values):' --temperature 0"
    " --max-tokens 400 ";

// A tiny checkpoint of noise with the embedded one's tokenizer.
std::string tiny_model(const Home& home, const TemporaryDirectory& directory) {
  const std::string model = (fs::canonical(directory.path()) / "tiny").string();
  REQUIRE(home.hearth("dummy --hidden 256 --layers 4 --experts 16 --tokenizer ember --out '" +
                      model + "'")
              .code == 0);
  return model;
}

// Until the second model has been loaded or is refused.
Json settled(const Home& home) {
  for (;;) {
    Json status = home.status();
    if (status["inlineModel"]["state"] != "loading" && status["model"]["state"] != "loading")
      return status;
    ::poll(nullptr, 0, 10);
  }
}

}  // namespace

TEST_CASE("completions come from the second model, and all else from the first") {
  Home home;
  const TemporaryDirectory directory;
  const std::string model = tiny_model(home, directory);
  const std::string expected =
      home.hearth(completion + std::string("--local --model '") + model + "'").out;
  const std::string others = home.hearth(completion + std::string("--local")).out;
  REQUIRE(expected != others);
  const std::string explained = home.hearth(explanation + std::string("--local")).out;

  home.configure("[inline]\nmodel = \"" + model + "\"\n");
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.hearth(completion).out == expected);
  CHECK(home.hearth(explanation).out == explained);

  Json status = settled(home);
  CHECK(status["inlineModel"]["state"] == "ready");
  CHECK(status["inlineModel"]["directory"] == model);
  CHECK(status["inlineModel"]["requests"] == 1);
  CHECK(status["inlineModel"]["refusal"] == "");
  CHECK(status["inlineModel"]["bytes"] > 0);
  CHECK(status["model"]["requests"] == 1);
  const std::string shown = unbroken(home.hearth("status").out);
  CAPTURE(shown);
  CHECK(contains(shown, "inline     "));
  CHECK(contains(shown, model));
  CHECK(contains(shown, "it takes "));
  CHECK(contains(shown, "1 requests, for which the model above was parked "));

  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", average);
  editor.request("textDocument/inlineCompletion", completion_at(3, 8));
  status = home.status();
  CHECK(status["inlineModel"]["requests"] > 1);
  CHECK(status["model"]["requests"] == 1);
  CHECK(editor.quit() == 0);
}

TEST_CASE("a completion while the first model writes parks it, and changes nothing of its answer") {
  Home home;
  const TemporaryDirectory directory;
  const std::string model = tiny_model(home, directory);
  const std::string expected =
      home.hearth(completion + std::string("--local --model '") + model + "'").out;
  const std::string explained = home.hearth(explanation + std::string("--local")).out;
  home.configure("[inline]\nmodel = \"" + model + "\"\n");
  CHECK(home.hearth("daemon").code == 0);
  settled(home);

  auto writing = home.control();
  REQUIRE(writing);
  const Json request{{"request", "generate"},
                     {"prompt",
                      {{"kind", "text"},
                       {"prefix", {{{"text", "def average(values):"}, {"provenance", "file"}}}}}},
                     {"options", {{"maxTokens", 400}}}};
  std::string text;
  std::string completed;
  follow(*writing, request, [&](const Json& piece) {
    if (piece.contains("text")) text += piece["text"].get<std::string>();
    // Once, in the middle: the daemon goes on writing meanwhile.
    if (!text.empty() && completed.empty()) completed = home.hearth(completion).out;
  });
  CHECK(completed == expected);
  CHECK(contains(explained, text));
  CHECK(home.status()["model"]["answerTokens"] > 0);
}

TEST_CASE("a second model that is not there is said, and the first one completes") {
  Home home;
  home.configure("[inline]\nmodel = \"/nowhere/at-all\"\n");
  const std::string expected = home.hearth(completion + std::string("--local")).out;
  CHECK(home.hearth("daemon").code == 0);
  CHECK(home.hearth(completion).out == expected);
  const Json status = home.status();
  CHECK(status["inlineModel"]["state"] == "refused");
  const std::string why = status["inlineModel"]["refusal"];
  CHECK(contains(why, "there is no model directory /nowhere/at-all"));
  CHECK(contains(why, "completions come from the other model"));
  CHECK(contains(unbroken(home.hearth("status").out), why));

  auto editor = home.editor(true);
  editor.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"status"}}}}});
  const Json told = editor.request("hearth/status", nullptr);
  CHECK(told["notices"] == Json{why});
  CHECK(editor.quit() == 0);
}

TEST_CASE("a second model that cannot be loaded leaves its completions to the first") {
  Home home;
  const TemporaryDirectory directory;
  const std::string model = tiny_model(home, directory);
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors")
      fs::resize_file(entry.path(), fs::file_size(entry.path()) - 1000);
  }
  home.configure("[inline]\nmodel = \"" + model + "\"\n");
  const std::string expected = home.hearth(completion + std::string("--local")).out;
  CHECK(home.hearth("daemon").code == 0);
  CHECK_FALSE(settled(home)["inlineModel"]["refusal"] == "");
  CHECK(home.hearth(completion).out == expected);
}

TEST_CASE("the second model's configuration needs a restart") {
  Home home;
  CHECK(home.hearth("daemon").code == 0);
  CHECK_FALSE(home.status().contains("inlineModel"));
  home.configure("[inline]\nmodel = \"/somewhere\"\nmax_tokens = 32\n");
  for (;;) {
    const std::string notice = home.status()["configNotice"];
    if (notice.empty()) {
      ::poll(nullptr, 0, 10);
      continue;
    }
    CHECK(contains(notice, "inline.model"));
    CHECK_FALSE(contains(notice, "inline.max_tokens"));
    break;
  }
}
