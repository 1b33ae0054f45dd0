// A server of models that does what a test wants: which endpoints it has, how it streams and how it
// breaks off; and a RemoteModel that asks it, on a host whose timers fire at once.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/remote/remote_model.hpp"
#include "tests/daemon/http/web_server.hpp"
#include "tests/daemon/queue_host.hpp"

namespace hearth::tests {

// Whatever is put off comes next, and how long it was to be put off is kept. Each look at the clock
// takes 10 ms.
class PromptHost : public QueueHost {
 public:
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) override {
    delays.push_back(delay);
    const TimerId id = ++last_;
    post([this, id, task = std::move(task)] {
      if (!cancelled_.contains(id)) task();
    });
    return id;
  }
  void cancel_timer(TimerId id) override { cancelled_.insert(id); }
  std::chrono::steady_clock::time_point now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::hours(1)) +
           ++looks_ * std::chrono::milliseconds(10);
  }

  std::vector<std::chrono::milliseconds> delays;

 private:
  mutable int looks_ = 0;
  TimerId last_ = 0;
  std::set<TimerId> cancelled_;
};

// What a stream's events hold.
std::string text_event(const std::string& text);     // of a chat
std::string thought_event(const std::string& text);  // likewise
std::string completion_event(const std::string& text);
std::string finish_event(const std::string& reason);
std::string usage_event(int prompt, int written, int cached);

class FakeEngine {
 public:
  // Answers the request number `nth`, from 1, of its path.
  using Answer = std::function<void(const WebRequest&, WebConnection&, int nth)>;

  struct Abilities {
    std::string owner = "vllm";
    std::vector<std::string> models{"qwen3-coder"};
    int context = 4096;
    // Text to tokens, as /tokenize does; empty: there is no such path.
    std::function<std::vector<int>(const std::string&)> tokenize = {};
    bool infill = false;
    enum class Suffix : std::uint8_t { refused, ignored, read } suffix = Suffix::refused;
  };

  explicit FakeEngine(Abilities abilities, const TestCertificate* certificate = nullptr);

  // Chats, completions that stream, and infills that write.
  void chat(Answer answer);
  // In place of the list of models.
  void models(Answer answer);

  std::string origin() const { return server_.origin(); }
  int connections() const { return server_.connections(); }
  // Of streams, in order.
  std::vector<WebRequest> asked() const;
  nlohmann::json body(std::size_t nth) const;  // of the streams, from 0

 private:
  void answer(const WebRequest& request, WebConnection& connection);
  void complete(const WebRequest& request, WebConnection& connection);

  const Abilities abilities_;
  mutable std::mutex mutex_;
  Answer chat_;
  Answer models_;
  std::vector<WebRequest> asked_;
  int models_asked_ = 0;
  WebServer server_;
};

// A stream of these events, and the connection's end.
void stream(WebConnection& connection, const std::vector<std::string>& events, bool done = true);
// The answer that a FakeEngine gives to each request.
FakeEngine::Answer streams(std::vector<std::string> events);

lsp::Prompt chat_prompt(const std::string& text);
lsp::Prompt fim_prompt(const std::string& before, const std::string& behind);

struct Heard {
  std::vector<std::string> pieces;  // of the text; "RESTART" where it begins anew
  std::string thought;
  std::vector<std::int32_t> tokens;
  std::vector<lsp::GenerationProgress> progress;
  std::optional<lsp::Result<lsp::Answer>> result;

  const lsp::Answer& answer() const;
  const lsp::ModelError& error() const;
};

struct RemoteStage {
  explicit RemoteStage(const std::string& origin,
                       const std::function<void(daemon::RemoteOptions&)>& change = {});

  lsp::GenerationId begin(Heard& heard, lsp::Prompt prompt, lsp::GenerateOptions options = {},
                          bool restarts = true);
  Heard ask(lsp::Prompt prompt, lsp::GenerateOptions options = {}, bool restarts = true);
  lsp::Result<lsp::ModelDescription> describe();
  std::vector<lsp::PromptPiece> inspect(lsp::Prompt prompt);
  void wait_for(daemon::RemoteStatus::State state);

  PromptHost host;
  int changes = 0;
  std::unique_ptr<daemon::RemoteModel> model;
};

}  // namespace hearth::tests
