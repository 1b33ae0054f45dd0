// `hearth serve` as the engine on another machine: a real daemon with the embedded checkpoint.
#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "tests/daemon/home.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/daemon/remote/fake_engine.hpp"

using namespace hearth;
using namespace hearth::tests;

namespace {

struct Served {
  explicit Served(bool with_tokenizer) {
    home.configure("[serve]\nport = 0\n");
    REQUIRE(home.hearth("serve").code == 0);
    std::string token = home.hearth("serve --token").out;
    while (token.ends_with('\n')) token.pop_back();
    const std::string url = home.status()["serve"]["url"];
    stage.emplace(url.substr(0, url.rfind("/v1")), [&](daemon::RemoteOptions& options) {
      options.key = token;
      if (with_tokenizer) options.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
    });
  }

  Home home;
  std::optional<RemoteStage> stage;
};

}  // namespace

TEST_CASE("a served model is found out, and answers as it does here") {
  for (const bool with_tokenizer : {true, false}) {
    CAPTURE(with_tokenizer);
    Served served(with_tokenizer);
    const auto described = std::get<lsp::ModelDescription>(served.stage->describe());
    CHECK(described.profile.name == "ember");
    CHECK(described.profile.context_tokens == 2048);
    CHECK(described.capabilities.prefix_state);
    const daemon::RemoteStatus status = served.stage->model->status();
    CHECK(status.server == "hearth");
    CHECK(status.key);
    CHECK(status.token_ids == with_tokenizer);
    CHECK(status.fim == (with_tokenizer ? daemon::RemoteFim::tokens : daemon::RemoteFim::infill));

    lsp::GenerateOptions options;
    options.max_tokens = 200;
    const Heard heard = served.stage->ask(explain_prompt(), options);
    CHECK(heard.answer().text == explanation);
    CHECK(heard.pieces.size() > 1);
    CHECK(heard.answer().prompt_tokens > 20);
    // What it read it knows.
    CHECK(served.stage->ask(explain_prompt(), options).answer().cached_tokens > 20);
    CHECK(served.stage->model->status().prefix_caching == true);

    lsp::GenerateOptions completes;
    completes.priority = lsp::Priority::inline_completion;
    completes.max_tokens = 20;
    completes.stop_strings = {"\n"};
    const Heard completed = served.stage->ask(completion_prompt(), completes);
    CHECK_FALSE(completed.answer().text.empty());
    CHECK(completed.answer().text.find('\n') == std::string::npos);
  }
}

TEST_CASE("a turn that follows reads only what is new") {
  Served served(true);
  lsp::Prompt prompt = explain_prompt();
  lsp::GenerateOptions options;
  options.max_tokens = 60;
  const lsp::Answer first = served.stage->ask(prompt, options).answer();
  lsp::Message turn{lsp::Role::assistant, {{first.text}}};
  turn.generated = first.generated;
  prompt.messages.push_back(turn);
  prompt.messages.push_back({lsp::Role::user, {{"And why?"}}});
  const lsp::Answer second = served.stage->ask(prompt, options).answer();
  CHECK(second.prompt_tokens - second.cached_tokens < 40);
}

TEST_CASE("a cancelled answer is computed no further") {
  Served served(false);
  lsp::GenerateOptions options;
  options.max_tokens = 1500;
  options.sampling = lsp::Sampling::recommended;
  options.sampling_choice.temperature = 5.0F;  // it does not come to an end
  Heard heard;
  const auto id = served.stage->begin(heard, explain_prompt(), options);
  served.stage->host.run_until([&] { return heard.pieces.size() > 2 || heard.result; });
  REQUIRE_FALSE(heard.result);
  served.stage->model->cancel(id);
  served.stage->host.run_until([&] { return heard.result.has_value(); });
  while (served.home.status()["model"]["waiting"] != 0) ::poll(nullptr, 0, 2);
  CHECK(served.home.status()["model"]["cancelled"] == 1);
}

TEST_CASE("a key that a door does not know is refused") {
  Home home;
  home.configure("[serve]\nport = 0\n");
  REQUIRE(home.hearth("serve").code == 0);
  const std::string url = home.status()["serve"]["url"];
  RemoteStage stage(url.substr(0, url.rfind("/v1")),
                    [](daemon::RemoteOptions& options) { options.key = "wrong"; });
  stage.wait_for(daemon::RemoteStatus::State::refused);
  CHECK(contains(stage.model->status().why, "refuses the key"));
}
