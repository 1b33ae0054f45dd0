// What the model is asked to count: every line once, and never again while it stays as it is.
#include "lsp/context/token_counts.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;
using Counts = std::vector<std::int64_t>;

struct Counter {
  VirtualHost host;
  ScriptedModel model{host};
  std::shared_ptr<TokenCounts> counts = std::make_shared<TokenCounts>(model);

  Counts operator()(std::vector<std::string> texts) {
    Counts counted;
    counts->count(model.capabilities, std::move(texts),
                  [&](const auto& result) { counted = std::get<Counts>(result); });
    host.run();
    return counted;
  }
};

// An editor whose model is loaded, with one document open.
struct Editor {
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  Server server{host, model, jobs, ServerOptions{}, [](const json&) {}};
  int version = 1;
  int requests = 0;

  explicit Editor(const std::string& text) {
    model.load();
    model.profile.context_tokens = 32'000;
    model.profile.fim_prefix_tokens = 16'000;
    model.profile.fim_suffix_tokens = 4'000;
    send({{"id", 0}, {"method", "initialize"}, {"params", {{"capabilities", json::object()}}}});
    send({{"method", "initialized"}, {"params", json::object()}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", "file:///a.py"},
              {"languageId", "python"},
              {"version", version},
              {"text", text}}}}}});
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server.receive(message.dump());
    host.run();
  }
  void type(int line, int character, const std::string& text) {
    const json at{{"line", line}, {"character", character}};
    send({{"method", "textDocument/didChange"},
          {"params",
           {{"textDocument", {{"uri", "file:///a.py"}, {"version", ++version}}},
            {"contentChanges",
             json::array({{{"range", {{"start", at}, {"end", at}}}, {"text", text}}})}}}});
  }
  // As many editors do after each key. The model writes what nobody types, so that the next request
  // is for another completion.
  void complete(int line, int character) {
    model.say({"~"});
    send({{"id", ++requests},
          {"method", "textDocument/inlineCompletion"},
          {"params",
           {{"textDocument", {{"uri", "file:///a.py"}}},
            {"position", {{"line", line}, {"character", character}}},
            {"context", {{"triggerKind", 1}}}}}});
    host.advance(std::chrono::seconds(1));
  }
};

// A large file: functions whose lines differ from one another.
std::string large_source(int functions) {
  std::string text = "import os\nimport sys\n\n\n";
  for (int i = 0; i < functions; ++i) {
    const std::string number = std::to_string(i);
    text += "def function_" + number + "(values):\n    total_" + number + " = sum(values)\n" +
            "    return total_" + number + "\n\n\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a text is counted once, however often and how many times in one request it comes") {
  Counter count;
  CHECK(count({"a line\n", "}\n", "}\n", ""}) == Counts{2, 1, 1, 0});
  CHECK(count.model.count_calls == 1);
  CHECK(count.model.texts_counted == 3);
  CHECK(count({"}\n", "another line\n", "a line\n"}) == Counts{1, 4, 2});
  CHECK(count.model.count_calls == 2);
  CHECK(count.model.texts_counted == 4);
  CHECK(count({"a line\n", "}\n"}) == Counts{2, 1});
  CHECK(count.model.count_calls == 2);  // nothing to ask
}

TEST_CASE("what one model counted is not taken for another's count") {
  Counter count;
  count.counts->counted_by("one");
  count({"a line\n"});
  count.counts->counted_by("one");
  count({"a line\n"});
  CHECK(count.model.texts_counted == 1);
  count.counts->counted_by("another");
  count({"a line\n"});
  CHECK(count.model.texts_counted == 2);
}

TEST_CASE("counts are kept within a bound, those in use longest") {
  Counter count;
  const std::string used = "used in every request\n";
  for (std::size_t i = 0; i < 5; ++i) {
    std::vector<std::string> texts{used};
    for (std::size_t n = 0; n < TokenCounts::max_generation / 2; ++n) {
      texts.push_back("line " + std::to_string(i * TokenCounts::max_generation + n));
    }
    count(std::move(texts));
    CHECK(count.counts->kept() <= 2 * TokenCounts::max_generation);
  }
  const std::size_t before = count.model.texts_counted;
  count({used});
  CHECK(count.model.texts_counted == before);
  count({"line 0"});
  CHECK(count.model.texts_counted == before + 1);  // long forgotten
}

TEST_CASE("a keystroke in a large file has at most three texts counted") {
  constexpr int functions = 2000;
  Editor editor(large_source(functions));
  const int line = 4 + 5 * (functions / 2) + 2;  // "    return total_1000"
  int character = 21;
  const std::string typed = " + other_total * 2";
  editor.complete(line, character);
  CHECK(editor.model.prompts.size() == 1);
  CHECK(editor.model.texts_counted > 1000);
  for (const char c : typed) {
    CAPTURE(c);
    editor.type(line, character++, std::string(1, c));
    const std::size_t before = editor.model.texts_counted;
    const int calls = editor.model.count_calls;
    editor.complete(line, character);
    CHECK(editor.model.texts_counted - before <= 3);
    CHECK(editor.model.count_calls - calls <= 1);
  }
  editor.type(line, character, "\n    ");
  const std::size_t before = editor.model.texts_counted;
  editor.complete(line + 1, 4);
  CHECK(editor.model.texts_counted - before <= 3);
  CHECK(editor.model.prompts.size() == typed.size() + 2);
  const std::string prefix = text_of(editor.model.prompts.back().prefix);
  CHECK(prefix.ends_with("return total_1000" + typed + "\n    "));
}

TEST_CASE("a model that cannot count is not asked to, and its reports correct the estimate") {
  Counter count;
  count.model.capabilities.exact_counts = false;
  const std::string text(600, 'x');
  CHECK(count({text, "", "\n"}) == Counts{200, 0, 1});
  CHECK(count.model.count_calls == 0);
  for (int i = 0; i < 30; ++i) count.counts->learn(6000, 1500);  // four bytes a token
  CHECK(count({text}).front() >= 150);
  CHECK(count({text}).front() <= 151);
  for (int i = 0; i < 30; ++i) count.counts->learn(6000, 3'000'000);  // no tokenizer's
  CHECK(count({text}) == Counts{600});
  count.counts->learn(0, 7);
  count.counts->learn(7, 0);
  CHECK(count({text}) == Counts{600});
}

TEST_CASE("a session learns from its requests what a token is to a model that cannot count") {
  Editor editor(large_source(100));
  editor.model.capabilities.exact_counts = false;
  editor.model.profile.fim_order = FimOrder::suffix_first;
  editor.complete(7, 0);
  REQUIRE(editor.model.prompts.size() == 1);
  CHECK(editor.model.count_calls == 0);
  // The scripted model says that every prompt has 100 tokens: far fewer than expected, so the next
  // one may bring more text.
  editor.model.profile.fim_prefix_tokens = 400;
  editor.model.profile.fim_suffix_tokens = 100;
  const std::size_t first = bytes_of(editor.model.prompts.back());
  CHECK(first > 2000);
  editor.complete(300, 0);
  REQUIRE(editor.model.prompts.size() == 2);
  const std::size_t second = bytes_of(editor.model.prompts.back());
  CHECK(second > 4 * 500);
  CHECK(editor.model.count_calls == 0);
}

}  // namespace hearth::lsp::test
