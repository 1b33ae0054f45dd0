// A client's bytes, as they come over the socket, into the reader and from there into a session
// with a model that answers at once. Every request with an id of its own gets exactly one reply.
//
// The input's first byte says how the rest is divided into reads. Where the rest begins with '{' it
// is one body for each line, so that the fuzzer need not learn to count.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/wire.hpp"
#include "lsp/server.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace {

using namespace hearth::lsp;
using nlohmann::json;

class QueueHost : public Host {
 public:
  void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void background(std::function<void()> work, std::function<void()> then) override {
    post(std::move(work));
    post(std::move(then));
  }
  // Timers run when nothing else is left to do.
  TimerId after(std::chrono::milliseconds, std::function<void()> task) override {
    timers_.emplace(++last_timer_, std::move(task));
    return last_timer_;
  }
  void cancel_timer(TimerId id) override { timers_.erase(id); }
  std::chrono::steady_clock::time_point now() const override { return {}; }
  std::chrono::system_clock::time_point time() const override { return {}; }
  std::string write_answer(std::string_view name, std::string_view) override {
    return "file:///" + std::string(name);
  }
  std::string answers_kept_until() const override { return "2026-12-06"; }
  void log(LogLevel, std::string_view) override {}

  void run() {
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  void run_timers() {
    run();
    for (int left = 100; left > 0 && !timers_.empty(); --left) {
      const auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
      run();
    }
  }

 private:
  std::deque<std::function<void()>> tasks_;
  std::map<TimerId, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
};

// Writes two pieces for every prompt: code in a block where a chat is asked, which may become an
// edit.
class EagerModel : public Model {
 public:
  explicit EagerModel(Host& host) : host_(host) {}

  void describe(Callback<ModelDescription> done) override {
    ModelDescription description;
    description.profile.context_tokens = 1000;
    description.profile.fim_prefix_tokens = 500;
    description.profile.fim_suffix_tokens = 100;
    host_.post([done, description] { done(description); });
  }
  LoadingProgress loading() const override { return {}; }
  void count_tokens(std::vector<std::string> texts,
                    Callback<std::vector<std::int64_t>> done) override {
    std::vector<std::int64_t> counts;
    for (const std::string& text : texts) counts.push_back(static_cast<std::int64_t>(text.size()));
    host_.post([done, counts] { done(counts); });
  }
  void estimate(Prompt, Callback<Estimate> done) override {
    host_.post([done] { done(Estimate{}); });
  }
  void inspect(Prompt, Callback<std::vector<PromptPiece>> done) override {
    host_.post([done] { done(std::vector<PromptPiece>{{"a prompt", 2, std::nullopt}}); });
  }
  std::optional<std::chrono::milliseconds> usual_time(Prompt::Kind, std::int64_t,
                                                      const GenerateOptions&) const override {
    return std::chrono::seconds(40);
  }
  GenerationId prefill(Prompt prompt, Callback<Estimate> done) override {
    estimate(std::move(prompt), std::move(done));
    return ++last_;
  }
  GenerationId generate(Prompt prompt, GenerateOptions, GenerationEvents events) override {
    const bool chat = prompt.kind == Prompt::Kind::chat;
    const std::string first = chat ? "```python\ndef f(x):\n" : "a)\n";
    const std::string second = chat ? "    return x + 1\n```\n" : "b";
    host_.post([events, first, second] {
      if (events.on_progress) events.on_progress({});
      if (events.on_text) events.on_text(first);
      if (events.on_text) events.on_text(second);
      Answer answer;
      answer.text = first + second;
      events.on_done(answer);
    });
    return ++last_;
  }
  void cancel(GenerationId) override {}

 private:
  Host& host_;
  GenerationId last_ = 0;
};

class Client {
 public:
  void receive(const std::string& body) {
    note_request(body);
    server_->receive(body);
    host_.run();
  }
  // All that is waited for comes, then the session ends.
  void finish() {
    host_.run_timers();
    for (const auto& [id, open] : open_) {
      if (open != 0 && certain_) std::abort();
    }
    server_.reset();
    host_.run_timers();
  }

 private:
  void note_request(const std::string& body) {
    // The server repairs some bodies that are no JSON and refuses some that are.
    const json message = json::parse(body, nullptr, false);
    constexpr std::ptrdiff_t harmless = 100;
    const bool deep = std::count(body.begin(), body.end(), '[') > harmless ||
                      std::count(body.begin(), body.end(), '{') > harmless;
    if (message.is_discarded() || deep) certain_ = false;
    if (!message.is_object() || !message.contains("method") || !message["method"].is_string())
      return;
    if (!message.contains("id") || message.value("jsonrpc", json()) != "2.0") return;
    const json& id = message["id"];
    if (id.is_number_integer() || id.is_string()) ++open_[id.dump()];
  }
  void sent(const json& message) {
    const std::string bytes = message.dump();  // throws on text that is not UTF-8
    if (message.contains("method") || message["id"].is_null()) return;
    if (--open_[message["id"].dump()] < 0 && certain_) std::abort();
  }

  QueueHost host_;
  EagerModel model_{host_};
  MemoryJobStore store_{host_};
  Jobs jobs_{host_, model_, store_};
  std::map<std::string, int> open_;  // by id: requests less replies
  bool certain_ = true;              // that open_ counts what the server counts
  std::unique_ptr<Server> server_ = std::make_unique<Server>(
      host_, model_, jobs_, ServerOptions{}, [this](const json& message) { sent(message); });
};

void feed_lines(Client& client, std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    client.receive(std::string(line));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
  }
}

void feed_bytes(Client& client, std::string_view bytes, std::size_t piece) {
  MessageReader reader;
  try {
    while (!bytes.empty()) {
      reader.push(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(bytes.size(), piece));
      while (const auto body = reader.next()) client.receive(*body);
    }
  } catch (const WireError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Client client;
  if (rest.starts_with('{')) {
    feed_lines(client, rest);
  } else {
    feed_bytes(client, rest, data[0] + std::size_t{1});
  }
  client.finish();
  return 0;
}
