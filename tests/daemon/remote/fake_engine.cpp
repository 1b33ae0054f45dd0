// The fake server's endpoints, and waiting for what comes of them.
#include "tests/daemon/remote/fake_engine.hpp"

#include <utility>

namespace hearth::tests {

using nlohmann::json;

namespace {

json chunk(json choice) {
  return {{"id", "x"}, {"object", "chunk"}, {"choices", json::array({std::move(choice)})}};
}

}  // namespace

std::string text_event(const std::string& text) {
  return chunk({{"index", 0}, {"delta", {{"content", text}}}}).dump();
}

std::string thought_event(const std::string& text) {
  return chunk({{"index", 0}, {"delta", {{"reasoning_content", text}}}}).dump();
}

std::string completion_event(const std::string& text) {
  return chunk({{"index", 0}, {"text", text}}).dump();
}

std::string finish_event(const std::string& reason) {
  return chunk({{"index", 0}, {"delta", json::object()}, {"finish_reason", reason}}).dump();
}

std::string usage_event(int prompt, int written, int cached) {
  return json{{"choices", json::array()},
              {"usage",
               {{"prompt_tokens", prompt},
                {"completion_tokens", written},
                {"prompt_tokens_details", {{"cached_tokens", cached}}}}}}
      .dump();
}

void stream(WebConnection& connection, const std::vector<std::string>& events, bool done) {
  connection.send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto send = [&](const std::string& text) {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    connection.send(size + text + "\r\n");
  };
  send(": still reading\n\n");
  for (const std::string& event : events) send("data: " + event + "\n\n");
  if (!done) return connection.cut();
  send("data: [DONE]\n\n");
  connection.send("0\r\n\r\n");
}

FakeEngine::Answer streams(std::vector<std::string> events) {
  return [events = std::move(events)](const WebRequest&, WebConnection& connection, int) {
    stream(connection, events);
  };
}

FakeEngine::FakeEngine(Abilities abilities, const TestCertificate* certificate)
    : abilities_(std::move(abilities)),
      server_([this](const WebRequest& request,
                     WebConnection& connection) { answer(request, connection); },
              certificate) {}

void FakeEngine::chat(Answer answer) {
  const std::scoped_lock lock(mutex_);
  chat_ = std::move(answer);
}

void FakeEngine::models(Answer answer) {
  const std::scoped_lock lock(mutex_);
  models_ = std::move(answer);
}

std::vector<WebRequest> FakeEngine::asked() const {
  const std::scoped_lock lock(mutex_);
  return asked_;
}

json FakeEngine::body(std::size_t nth) const {
  return json::parse(asked().at(nth).body);
}

void FakeEngine::answer(const WebRequest& request, WebConnection& connection) {
  const std::string& path = request.target;
  if (path == "/v1/models") {
    int nth = 0;
    Answer models;
    {
      const std::scoped_lock lock(mutex_);
      nth = ++models_asked_;
      models = models_;
    }
    if (models) return models(request, connection, nth);
    json data = json::array();
    for (const std::string& model : abilities_.models)
      data.push_back(
          {{"id", model}, {"owned_by", abilities_.owner}, {"max_model_len", abilities_.context}});
    connection.respond(200, "", json{{"data", data}}.dump());
  } else if (path == "/tokenize" && abilities_.tokenize) {
    const json body = json::parse(request.body);
    const auto tokens = abilities_.tokenize(body.value("prompt", body.value("content", "")));
    connection.respond(200, "", json{{"tokens", tokens}, {"count", tokens.size()}}.dump());
  } else if (path == "/infill" && abilities_.infill &&
             json::parse(request.body).value("n_predict", -1) == 0) {
    connection.respond(200, "", R"({"content": "", "stop": true})");
  } else if (path == "/v1/completions" && !json::parse(request.body).value("stream", false)) {
    complete(request, connection);
  } else if (path == "/v1/chat/completions" || path == "/v1/completions" ||
             (path == "/infill" && abilities_.infill)) {
    int nth = 0;
    Answer chat;
    {
      const std::scoped_lock lock(mutex_);
      asked_.push_back(request);
      nth = static_cast<int>(asked_.size());
      chat = chat_;
    }
    REQUIRE(chat);
    chat(request, connection, nth);
  } else {
    connection.respond(404, "", R"({"detail": "Not Found"})");
  }
}

// What a look at a server asks for.
void FakeEngine::complete(const WebRequest& request, WebConnection& connection) {
  using Suffix = Abilities::Suffix;
  const json body = json::parse(request.body);
  const bool suffix = body.contains("suffix");
  if (suffix && abilities_.suffix == Suffix::refused) {
    connection.respond(
        400, "", R"({"error": {"message": "suffix is not currently supported", "code": 400}})");
    return;
  }
  std::size_t tokens = body["prompt"].is_array() ? body["prompt"].size() : 3;
  if (suffix && abilities_.suffix == Suffix::read) tokens += body["suffix"].size() + 100;
  connection.respond(200, "",
                     json{{"choices", {{{"text", "x"}, {"finish_reason", "length"}}}},
                          {"usage", {{"prompt_tokens", tokens}, {"completion_tokens", 1}}}}
                         .dump());
}

lsp::Prompt chat_prompt(const std::string& text) {
  lsp::Prompt prompt;
  prompt.messages.push_back({lsp::Role::system, {{"Be brief."}}});
  prompt.messages.push_back({lsp::Role::user, {{text}}});
  return prompt;
}

lsp::Prompt fim_prompt(const std::string& before, const std::string& behind) {
  lsp::Prompt prompt;
  prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
  prompt.prefix = {{before}};
  prompt.suffix = {{behind}};
  return prompt;
}

const lsp::Answer& Heard::answer() const {
  REQUIRE(result);
  if (const auto* error = std::get_if<lsp::ModelError>(&*result)) FAIL(error->message);
  return std::get<lsp::Answer>(*result);
}

const lsp::ModelError& Heard::error() const {
  REQUIRE(result);
  REQUIRE(std::holds_alternative<lsp::ModelError>(*result));
  return std::get<lsp::ModelError>(*result);
}

RemoteStage::RemoteStage(const std::string& origin,
                         const std::function<void(daemon::RemoteOptions&)>& change) {
  daemon::RemoteOptions options;
  options.url = http::parse_url(origin + "/v1");
  if (change) change(options);
  model = std::make_unique<daemon::RemoteModel>(host, std::move(options), [this] { ++changes; });
}

lsp::GenerationId RemoteStage::begin(Heard& heard, lsp::Prompt prompt, lsp::GenerateOptions options,
                                     bool restarts) {
  lsp::GenerationEvents events;
  events.on_progress = [&](const auto& progress) { heard.progress.push_back(progress); };
  events.on_text = [&](std::string text) { heard.pieces.push_back(std::move(text)); };
  events.on_thought = [&](const std::string& text) { heard.thought += text; };
  events.on_tokens = [&](const std::vector<std::int32_t>& tokens) {
    heard.tokens.insert(heard.tokens.end(), tokens.begin(), tokens.end());
  };
  if (restarts) {
    events.on_restart = [&] {
      heard.pieces.emplace_back("RESTART");
      heard.thought.clear();
      heard.tokens.clear();
    };
  }
  events.on_done = [&](lsp::Result<lsp::Answer> result) { heard.result = std::move(result); };
  return model->generate(std::move(prompt), std::move(options), std::move(events));
}

Heard RemoteStage::ask(lsp::Prompt prompt, lsp::GenerateOptions options, bool restarts) {
  Heard heard;
  begin(heard, std::move(prompt), std::move(options), restarts);
  host.run_until([&] { return heard.result.has_value(); });
  return heard;
}

lsp::Result<lsp::ModelDescription> RemoteStage::describe() {
  std::optional<lsp::Result<lsp::ModelDescription>> described;
  model->describe(
      [&](lsp::Result<lsp::ModelDescription> result) { described = std::move(result); });
  host.run_until([&] { return described.has_value(); });
  return *described;
}

std::vector<lsp::PromptPiece> RemoteStage::inspect(lsp::Prompt prompt) {
  std::optional<lsp::Result<std::vector<lsp::PromptPiece>>> shown;
  model->inspect(std::move(prompt), {}, [&](auto result) { shown = std::move(result); });
  host.run_until([&] { return shown.has_value(); });
  return std::get<std::vector<lsp::PromptPiece>>(*shown);
}

void RemoteStage::wait_for(daemon::RemoteStatus::State state) {
  host.run_until([&] { return model->status().state == state; });
}

}  // namespace hearth::tests
