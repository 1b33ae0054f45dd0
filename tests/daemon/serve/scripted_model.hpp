// What stands around the endpoints of `hearth serve` in tests: a clock that stands still, a model
// that says what it is told to, and answers that are kept.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/models/token_model.hpp"
#include "daemon/serve/http.hpp"
#include "lsp/support/host.hpp"

namespace hearth::tests {

// Its time stands still until the test moves it.
class StillHost : public lsp::Host {
 public:
  void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void background(std::function<void()> work, std::function<void()> then) override {
    work();
    post(std::move(then));
  }
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) override {
    timers_[++last_] = {now_ + delay, std::move(task)};
    return last_;
  }
  void cancel_timer(TimerId id) override { timers_.erase(id); }
  std::chrono::steady_clock::time_point now() const override { return now_; }
  std::chrono::system_clock::time_point time() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  }
  std::string write_answer(std::string_view, std::string_view) override {
    throw std::runtime_error("no answers here");
  }
  std::string answers_kept_until() const override { return {}; }
  void log(lsp::LogLevel, std::string_view line) override { logged += std::string(line) + "\n"; }

  void run() {
    while (!tasks_.empty()) {
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  // Lets this time pass, with all that is due in it.
  void pass(std::chrono::milliseconds time) {
    const auto until = now_ + time;
    run();
    for (;;) {
      auto next = std::ranges::min_element(timers_, {},
                                           [](const auto& timer) { return timer.second.first; });
      if (next == timers_.end() || next->second.first > until) break;
      now_ = next->second.first;
      const auto task = std::move(next->second.second);
      timers_.erase(next);
      task();
      run();
    }
    now_ = until;
  }
  std::size_t timers() const { return timers_.size(); }

  std::string logged;

 private:
  using Timer = std::pair<std::chrono::steady_clock::time_point, std::function<void()>>;
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  std::deque<std::function<void()>> tasks_;
  std::map<TimerId, Timer> timers_;
  TimerId last_ = 0;
};

// A token is a byte. Generations wait for the test.
class ScriptedModel : public daemon::TokenModel {
 public:
  struct Asked {
    lsp::Prompt prompt;
    lsp::GenerateOptions options;
    lsp::GenerationEvents events;
    bool cancelled = false;
  };

  void describe(lsp::Callback<lsp::ModelDescription> done) override {
    lsp::ModelDescription description;
    description.profile.name = "scripted";
    description.profile.context_tokens = context;
    description.profile.fim_prefix_tokens = context / 2;
    description.profile.fim_suffix_tokens = context / 4;
    done(description);
  }
  lsp::LoadingProgress loading() const override { return {}; }
  void count_tokens(std::vector<std::string>, lsp::Callback<std::vector<std::int64_t>>) override {}
  void tokenize(std::string text, bool, lsp::Callback<std::vector<std::int32_t>> done) override {
    std::vector<std::int32_t> tokens;
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
    done(std::move(tokens));
  }
  void token_bytes(std::vector<std::int32_t> tokens,
                   lsp::Callback<std::vector<std::string>> done) override {
    std::vector<std::string> bytes;
    for (const std::int32_t token : tokens) bytes.emplace_back(1, static_cast<char>(token));
    done(std::move(bytes));
  }
  void measure(lsp::Prompt prompt, lsp::GenerateOptions,
               lsp::Callback<std::int64_t> done) override {
    if (!refusal.empty()) return done(lsp::ModelError{refusal});
    done(static_cast<std::int64_t>(lsp::bytes_of(prompt) + prompt.tokens.size()));
  }
  void estimate(lsp::Prompt, lsp::Callback<lsp::Estimate>) override {}
  void inspect(lsp::Prompt prompt, const lsp::GenerateOptions&,
               lsp::Callback<std::vector<lsp::PromptPiece>> done) override {
    std::vector<lsp::PromptPiece> pieces;
    for (const lsp::Message& message : prompt.messages)
      pieces.push_back({lsp::text_of(message.segments), 1, std::nullopt});
    done(std::move(pieces));
  }
  std::optional<std::chrono::milliseconds> usual_time(lsp::Prompt::Kind, std::int64_t,
                                                      const lsp::GenerateOptions&) const override {
    return std::nullopt;
  }
  lsp::GenerationId prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override {
    prefilled.push_back(std::move(prompt));
    done(lsp::Estimate{10, 4, {}});
    return 77;
  }
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override {
    asked.push_back({std::move(prompt), std::move(options), std::move(events)});
    return asked.size();
  }
  void cancel(lsp::GenerationId id) override {
    if (id - 1 < asked.size()) asked[id - 1].cancelled = true;
  }

  // Of the last generation.
  void say(const std::string& text) {
    std::vector<std::int32_t> tokens;
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
    if (asked.back().events.on_tokens) asked.back().events.on_tokens(tokens);
    asked.back().events.on_text(text);
    said += text;
  }
  void end(lsp::FinishReason finish = lsp::FinishReason::stop, const std::string& thought = "") {
    lsp::Answer answer;
    answer.text = std::exchange(said, {});
    answer.finish = finish;
    answer.prompt_tokens = 10;
    answer.cached_tokens = 6;
    answer.thought = thought;
    answer.thought_tokens = static_cast<std::int64_t>(thought.size());
    answer.answer_tokens = static_cast<std::int64_t>(answer.text.size());
    for (const char byte : thought + answer.text)
      answer.generated.push_back(static_cast<unsigned char>(byte));
    asked.back().events.on_done(answer);
  }

  std::int64_t context = 1000;
  std::string refusal;
  std::vector<Asked> asked;
  std::vector<lsp::Prompt> prefilled;
  std::string said;
};

// What came of one request.
class KeptReply : public daemon::HttpReply {
 public:
  void send(daemon::HttpAnswer answer) override {
    status = answer.status;
    headers = std::move(answer.headers);
    body = std::move(answer.body);
    ended = true;
  }
  void begin(int with, daemon::HttpHeaders all) override {
    status = with;
    headers = std::move(all);
  }
  void write(std::string piece) override { body += piece; }
  void end() override { ended = true; }

  nlohmann::json json() const { return nlohmann::json::parse(body); }
  nlohmann::json error() const { return json().at("error"); }
  std::string header(const std::string& name) const {
    for (const auto& [each, value] : headers) {
      if (each == name) return value;
    }
    return "";
  }
  // The data of its events; "[DONE]" as a text.
  std::vector<nlohmann::json> events() const {
    std::vector<nlohmann::json> found;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t end = std::min(body.find("\n\n", at), body.size());
      const std::string event = body.substr(at, end - at);
      if (event == "data: [DONE]")
        found.emplace_back("[DONE]");
      else if (event.starts_with("data: "))
        found.push_back(nlohmann::json::parse(event.substr(6)));
      at = end + 2;
    }
    return found;
  }

  int status = 0;
  bool ended = false;
  daemon::HttpHeaders headers;
  std::string body;
};

}  // namespace hearth::tests
