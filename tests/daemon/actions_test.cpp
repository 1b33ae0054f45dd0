// Actions that change code, over the real wire with the embedded checkpoint: what an editor is sent
// is right code, not a sample of it.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

// An editor that applies what it is sent, for whole lines of a document of one function.
class Applying {
 public:
  explicit Applying(const Home& home) : editor_(home.editor(true)) {
    editor_.initialize(
        {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}}},
        {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}});
    editor_.on_notification = [this](const std::string& method, const Json& params) {
      if (method == "hearth/jobState") state_ = params;
    };
  }

  // The document after the action; its text as it was where nothing was changed.
  std::string after(const std::string& action, std::string text, const Json& more = Json::object(),
                    const std::string& language = "python") {
    const std::string uri = "file:///p/" + std::to_string(++documents_) + "." + language;
    editor_.open(uri, language, text);
    const auto lines = std::count(text.begin(), text.end(), '\n');
    Json place{{"uri", uri},
               {"range",
                {{"start", {{"line", 0}, {"character", 0}}},
                 {"end", {{"line", lines}, {"character", 0}}}}}};
    place.update(more);
    state_ = Json::object();
    editor_.request("workspace/executeCommand",
                    {{"command", "hearth.server." + action}, {"arguments", {place}}});
    editor_.until([&] { return state_.value("state", "") == "done"; });
    for (; applied_ < editor_.server_requests().size(); ++applied_) {
      const Json& request = editor_.server_requests()[applied_];
      if (request["method"] != "workspace/applyEdit") continue;
      const Json& edits = request["params"]["edit"]["documentChanges"][0]["edits"];
      for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
        const std::size_t begin = offset(text, (*edit)["range"]["start"]);
        const std::size_t end = offset(text, (*edit)["range"]["end"]);
        text.replace(begin, end - begin, (*edit)["newText"].get<std::string>());
      }
    }
    return text;
  }
  std::string answer() const { return state_.value("text", ""); }

 private:
  static std::size_t offset(const std::string& text, const Json& position) {
    std::size_t at = 0;
    for (auto line = position["line"].get<int>(); line > 0; --line) at = text.find('\n', at) + 1;
    return at + position["character"].get<std::size_t>();
  }

  ScriptedEditor editor_;
  Json state_;
  std::size_t applied_ = 0;  // of the server's requests
  int documents_ = 0;
};

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the embedded checkpoint's edits are right code, and change nothing else") {
  const Home home;
  Applying editor(home);
  const std::string text = average;

  const std::string documented = editor.after("document", text);
  CHECK(documented ==
        "def average(values):\n"
        "    \"\"\"Return the average of the values.\"\"\"\n" +
            text.substr(text.find("    total = 0")));

  const std::string renamed =
      editor.after("edit", text, {{"instruction", "Rename the function to `mean`."}});
  CHECK(renamed == "def mean(values):\n" + text.substr(text.find('\n') + 1));

  std::string broken = text;
  broken.replace(broken.find("len(values)"), 11, "len(value)");
  const Json problem{
      {"range",
       {{"start", {{"line", 4}, {"character", 23}}}, {"end", {{"line", 4}, {"character", 28}}}}},
      {"severity", 1},
      {"message", "\"value\" is not defined"}};
  CHECK(editor.after("fix", broken, {{"diagnostics", {problem}}}) == text);

  const std::string typed = editor.after("types", text);
  CHECK(holds(typed, "def average(values: "));
  CHECK(holds(typed, ") -> float:\n"));

  CHECK(editor.after("translate", text, {{"instruction", "JavaScript"}}) == text);
  CHECK(holds(editor.answer(), "function average(values)"));
}

TEST_CASE("an edit keeps the file's indentation and line endings") {
  const Home home;
  Applying editor(home);
  std::string method = "class Statistics:\r\n";
  const std::string function = average;
  for (std::size_t at = 0; at < function.size();) {
    const std::size_t end = function.find('\n', at);
    method += "    " + function.substr(at, end - at) + "\r\n";
    at = end + 1;
  }
  const Json inside{
      {"range",
       {{"start", {{"line", 2}, {"character", 8}}}, {"end", {{"line", 2}, {"character", 8}}}}}};
  const std::string documented = editor.after("document", method, inside);
  CHECK(documented.size() > method.size());
  CHECK(holds(documented, "        \"\"\"Return the average of the values.\"\"\"\r\n"));
  CHECK(std::count(documented.begin(), documented.end(), '\n') ==
        std::count(documented.begin(), documented.end(), '\r'));
}
