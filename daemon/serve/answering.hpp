// One generation that a client of HTTP waits for, or a prompt that is only read: asked, kept alive
// while nothing comes, and written whole or as a stream of events, in the form of its endpoint.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/models/token_model.hpp"
#include "daemon/serve/api_error.hpp"
#include "daemon/serve/http.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::daemon {

// How an endpoint writes an answer. Used for one answer, and either as events or whole.
class AnswerFormat {
 public:
  using Events = std::vector<nlohmann::json>;  // the data of server-sent events, in order

  virtual ~AnswerFormat() = default;
  // Of each prompt, in their order and before all else, where it is known as a text.
  virtual void prompt(std::string /*text*/) {}
  virtual Events begin() = 0;
  virtual Events thought(const std::string& more) = 0;
  virtual Events text(const std::string& more) = 0;
  // Of tokens whose text comes later.
  virtual void probabilities(std::vector<lsp::TokenProbability>) {}
  virtual Events progress(nlohmann::json prompt_progress) = 0;
  // Of an answer behind which that of the next prompt follows.
  virtual Events next(const lsp::Answer& answer);
  virtual Events end(const lsp::Answer& answer) = 0;
  // Of the last answer, with those before it.
  virtual nlohmann::json whole(const lsp::Answer& answer) = 0;
  // Whether "[DONE]" follows the last event.
  virtual bool marks_end() const { return true; }
  // What comes of an answer that is to be whole.
  virtual void watch(const std::string& /*more*/) {}
  // What more is written would not be shown: the computation may stop. Looked at behind text() and
  // watch().
  virtual bool complete() const { return false; }
};

struct AnswerRequest {
  // A prompt of the kind text: `text`, in which added tokens are recognised, else the tokens.
  struct Source {
    std::string text = {};
    std::vector<std::int32_t> tokens = {};
  };

  lsp::Prompt prompt;
  lsp::GenerateOptions options;
  // In place of `prompt`, answered one after the other; empty: the prompt is as it is.
  std::vector<Source> sources = {};
  bool tells_prompts = false;  // to the format
  // What the answer begins with, which the model goes on behind; `begun_special`: added tokens are
  // recognised in it.
  std::string begun = {};
  bool begun_special = false;
  bool stream = false;
  bool progress = false;                 // events that say how far the prompt is read
  std::string prompt_name = "messages";  // the field at fault where the prompt is too long
  HttpHeaders headers = {};              // more of the answer's
  // After these an answer is what there is of it; empty: no limit. From the request on, and from
  // the first text on.
  std::optional<std::chrono::milliseconds> max_prompt_time = {};
  std::optional<std::chrono::milliseconds> max_answer_time = {};
};

// Whoever answers.
struct Answerers {
  lsp::Model& model;
  // Measures prompts, so that one that is too long is refused before it waits; null: the model says
  // so itself, later.
  TokenModel* measures = nullptr;
};

class Answering : public HttpWork {
 public:
  // After this long without a byte there are headers, a comment, or a blank before the JSON.
  static constexpr std::chrono::milliseconds beat{10'000};
  // Until the headers of a stream go without the place in the queue.
  static constexpr std::chrono::milliseconds queue_known{300};

  // What it is given outlives it. `answered`: called with an answer that came to its own end, once
  // all of it is written.
  Answering(lsp::Host& host, Answerers answerers, std::shared_ptr<HttpReply> reply,
            AnswerRequest request, std::shared_ptr<AnswerFormat> format,
            std::function<void(const lsp::Answer&)> answered = {});
  ~Answering() override;

 private:
  using Events = AnswerFormat::Events;

  void prepare();
  void prepare_begun();
  void tell_prompt();
  void measure();
  void measured(const lsp::Result<std::int64_t>& tokens);
  void ready();
  void answer_next(const lsp::Answer& answer);
  bool only_reads() const { return request_.options.max_tokens == 0; }
  void read_ahead();
  void generate();
  void on_progress(const lsp::GenerationProgress& progress);
  void on_text(const std::string& text);
  void on_done(const lsp::Result<lsp::Answer>& result);
  void finish(const lsp::Answer& answer);
  void finish_early();
  void fail(const ApiError& error);
  void begin();
  void keep_alive();
  void give_sign();
  void write(const Events& events);
  void say(std::string bytes);
  void stop_after(std::optional<std::chrono::milliseconds> time);
  HttpHeaders headers() const;

  lsp::Host& host_;
  const Answerers answerers_;
  const std::shared_ptr<HttpReply> reply_;
  AnswerRequest request_;
  std::vector<lsp::Prompt> prompts_;  // that can be answered; all of them are before the first is
  std::size_t at_ = 0;                // of them
  const std::shared_ptr<AnswerFormat> format_;
  const std::function<void(const lsp::Answer&)> answered_;
  const std::chrono::steady_clock::time_point started_;
  std::optional<std::chrono::steady_clock::time_point> first_text_;
  lsp::GenerationId id_ = 0;  // 0: not asked yet, or over
  bool begun_ = false;        // its headers are sent
  bool over_ = false;
  std::chrono::steady_clock::time_point last_;  // byte that was written, or the request
  lsp::GenerationProgress now_;                 // what was told last
  double told_ = -1;                            // tokens of the prompt that progress was told of
  lsp::Answer so_far_;
  lsp::Host::TimerId beat_ = 0;
  lsp::Host::TimerId begin_ = 0;
  lsp::Host::TimerId limit_ = 0;
  lsp::Lifetime lifetime_;
};

}  // namespace hearth::daemon
