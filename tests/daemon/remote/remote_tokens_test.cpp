// Prompts that go as tokens, since the server's tokenizer is known: what is sent, and how an answer
// goes on that broke off.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/remote/remote_model.hpp"
#include "daemon/remote/remote_tokenizer.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/daemon/remote/fake_engine.hpp"

using namespace hearth;
using namespace hearth::tests;
using nlohmann::json;

namespace {

const std::filesystem::path ember_files = HEARTH_SOURCE_DIR "/engine/ember";

const daemon::RemoteTokenizer& ember_tokens() {
  static const daemon::RemoteTokenizer tokens(ember_files);
  return tokens;
}

FakeEngine::Abilities with_tokens() {
  FakeEngine::Abilities abilities;
  abilities.tokenize = [](const std::string& text) {
    return ember_tokens().tokenizer().encode_with_special(text);
  };
  return abilities;
}

void configure(daemon::RemoteOptions& options) {
  options.tokenizer = ember_files;
}

std::vector<std::int32_t> prompt_of(const json& body) {
  return body["prompt"].get<std::vector<std::int32_t>>();
}

std::string told_event(const std::string& text) {
  json event = json::parse(completion_event(text));
  event["choices"][0]["token_ids"] = ember_tokens().tokenizer().encode(text);
  return event.dump();
}

}  // namespace

TEST_CASE("a prompt goes as the tokens that the local model would read") {
  FakeEngine engine(with_tokens());
  engine.chat(streams({completion_event("Adds "), completion_event("them."), finish_event("stop"),
                       usage_event(30, 3, 0)}));
  RemoteStage stage(engine.origin(), configure);
  const auto described = std::get<lsp::ModelDescription>(stage.describe());
  CHECK(described.capabilities.exact_counts);
  CHECK(described.profile.fim_prefix_tokens > 0);
  CHECK(described.profile.context_tokens == 2048);  // ember's, which is less than the server's
  CHECK(stage.model->status().token_ids);
  CHECK(stage.model->status().fim == daemon::RemoteFim::tokens);

  const lsp::Prompt prompt = explain_prompt();
  const Heard heard = stage.ask(prompt);
  CHECK(heard.answer().text == "Adds them.");
  const json body = engine.body(0);
  CHECK(engine.asked()[0].target == "/v1/completions");
  CHECK(prompt_of(body) == render(ember_tokens().reader(0), prompt).tokens);
  CHECK(body["stop_token_ids"].size() > 0);
  // A turn that follows begins with what the model wrote.
  CHECK(heard.answer().generated == ember_tokens().tokenizer().encode("Adds them."));

  lsp::GenerateOptions completes;
  completes.priority = lsp::Priority::inline_completion;
  CHECK(stage.ask(completion_prompt(), completes).answer().text == "Adds them.");
  CHECK(prompt_of(engine.body(1)) == render(ember_tokens().reader(0), completion_prompt()).tokens);

  std::optional<lsp::Result<std::vector<std::int64_t>>> counted;
  stage.model->count_tokens({"def f(x):"}, [&](auto result) { counted = std::move(result); });
  stage.host.run_until([&] { return counted.has_value(); });
  CHECK(std::get<std::vector<std::int64_t>>(*counted).front() ==
        static_cast<std::int64_t>(ember_tokens().tokenizer().encode("def f(x):").size()));
}

TEST_CASE("text of a document is no special token") {
  FakeEngine engine(with_tokens());
  engine.chat(streams({completion_event("x"), finish_event("stop")}));
  RemoteStage stage(engine.origin(), configure);
  stage.ask(chat_prompt("<|im_end|>"));
  const auto tokens = prompt_of(engine.body(0));
  const auto end = ember_tokens().tokenizer().special("<|im_end|>");
  REQUIRE(end);
  CHECK(std::ranges::count(tokens, *end) == 2);  // of the two turns, and none of the text
}

TEST_CASE("an answer that broke off goes on behind its last token") {
  for (const bool told : {true, false}) {
    CAPTURE(told);
    FakeEngine engine(with_tokens());
    engine.chat([&](const WebRequest&, WebConnection& connection, int nth) {
      const auto event = told ? told_event : completion_event;
      if (nth == 1) return stream(connection, {event("Adds "), event("the")}, false);
      stream(connection, {event(" values."), finish_event("stop")});
    });
    RemoteStage stage(engine.origin(), configure);
    lsp::GenerateOptions options;
    options.max_tokens = 100;
    const Heard heard = stage.ask(explain_prompt(), options, false);
    CHECK(heard.answer().text == "Adds the values.");
    CHECK(heard.pieces.back() == " values.");
    const auto first = prompt_of(engine.body(0));
    auto expected = first;
    const auto& tokenizer = ember_tokens().tokenizer();
    std::vector<std::int32_t> written;
    if (told) {
      for (const char* piece : {"Adds ", "the"}) {
        const auto tokens = tokenizer.encode(piece);
        written.insert(written.end(), tokens.begin(), tokens.end());
      }
      CHECK(heard.tokens == heard.answer().generated);
    } else {
      written = tokenizer.encode("Adds the");
      CHECK(heard.tokens.empty());
    }
    expected.insert(expected.end(), written.begin(), written.end());
    CHECK(prompt_of(engine.body(1)) == expected);
    CHECK(engine.body(1)["max_tokens"] == 100 - static_cast<int>(written.size()));
    CHECK(stage.model->status().retried == 1);
  }
}

TEST_CASE("an answer of an earlier process goes on behind its tokens") {
  FakeEngine engine(with_tokens());
  engine.chat(streams({told_event(" values."), finish_event("stop")}));
  RemoteStage stage(engine.origin(), configure);
  lsp::GenerateOptions options;
  options.written = ember_tokens().tokenizer().encode("Adds the");
  const Heard heard = stage.ask(explain_prompt(), options);
  CHECK(heard.answer().text == "Adds the values.");
  CHECK(heard.pieces == std::vector<std::string>{" values."});
}

TEST_CASE("a thought ends where its budget does, and the answer follows") {
  const ChangedEmber thinking = thinking_ember();
  FakeEngine engine(with_tokens());
  engine.chat([](const WebRequest&, WebConnection& connection, int nth) {
    if (nth == 1) return stream(connection, {completion_event("Let me"), finish_event("length")});
    stream(connection, {completion_event("It adds."), finish_event("stop")});
  });
  RemoteStage stage(engine.origin(), [&](daemon::RemoteOptions& options) {
    options.tokenizer = thinking.options().model;
  });
  lsp::GenerateOptions options;
  options.max_tokens = 30;
  options.thinking_budget = 20;
  const Heard heard = stage.ask(explain_prompt(), options);
  CHECK(heard.answer().text == "It adds.");
  CHECK(heard.answer().thought.starts_with("Let me"));
  CHECK(heard.answer().thought_cut);
  CHECK(engine.body(0)["max_tokens"] == 50);
  CHECK(engine.body(1)["max_tokens"] == 30);
}

TEST_CASE("another tokenizer is told apart, and prompts stay text") {
  FakeEngine::Abilities abilities = with_tokens();
  SUBCASE("other ids for one of the probes") {
    abilities.tokenize = [](const std::string& text) {
      auto tokens = ember_tokens().tokenizer().encode_with_special(text);
      if (text.find("<|im_start|>") != std::string::npos) tokens.back() += 1;
      return tokens;
    };
  }
  SUBCASE("no way to compare") {
    abilities.tokenize = {};
  }
  FakeEngine engine(abilities);
  engine.chat(streams({text_event("x"), finish_event("stop")}));
  RemoteStage stage(engine.origin(), configure);
  CHECK(stage.ask(explain_prompt()).answer().text == "x");
  CHECK(engine.asked()[0].target == "/v1/chat/completions");
  const daemon::RemoteStatus status = stage.model->status();
  CHECK_FALSE(status.token_ids);
  CHECK(status.tokens_why.find("the configured tokenizer") != std::string::npos);
}

TEST_CASE("a tokenizer that cannot be read is said, and prompts stay text") {
  FakeEngine engine(with_tokens());
  engine.chat(streams({text_event("x"), finish_event("stop")}));
  RemoteStage stage(engine.origin(),
                    [](daemon::RemoteOptions& options) { options.tokenizer = "/nowhere"; });
  CHECK(stage.ask(explain_prompt()).answer().text == "x");
  CHECK(stage.model->status().tokens_why.find("/nowhere") != std::string::npos);
}
