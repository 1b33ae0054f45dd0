// From the request to the last byte. What can be refused is refused before the headers go.
#include "daemon/serve/answering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {

using lsp::dump;
using nlohmann::json;

AnswerFormat::Events AnswerFormat::next(const lsp::Answer& /*answer*/) {
  return {};
}

Answering::Answering(lsp::Host& host, Answerers answerers, std::shared_ptr<HttpReply> reply,
                     AnswerRequest request, std::shared_ptr<AnswerFormat> format,
                     std::function<void(const lsp::Answer&)> answered)
    : host_(host),
      answerers_(answerers),
      reply_(std::move(reply)),
      request_(std::move(request)),
      format_(std::move(format)),
      answered_(std::move(answered)),
      started_(host.now()),
      last_(started_) {
  beat_ = host_.after(beat, lifetime_.guard([this] { keep_alive(); }));
  if (!only_reads()) stop_after(request_.max_prompt_time);
  prepare();
}

Answering::~Answering() {
  for (const auto timer : {beat_, begin_, limit_}) host_.cancel_timer(timer);
  if (id_ != 0) answerers_.model.cancel(id_);
}

// Where a prompt is given as a text that is to be taken as it is, its tokens first.
void Answering::prepare() {
  if (!request_.begun.empty()) return prepare_begun();
  if (request_.sources.empty()) return measure();
  AnswerRequest::Source& source = request_.sources[prompts_.size()];
  if (source.text.empty()) {
    request_.prompt.tokens = std::move(source.tokens);
    return tell_prompt();
  }
  if (request_.tells_prompts) format_->prompt(source.text);
  answerers_.measures->tokenize(
      std::move(source.text), true,
      lifetime_.guard([this](lsp::Result<std::vector<std::int32_t>> tokens) {
        if (over_) return;
        if (const auto* error = std::get_if<lsp::ModelError>(&tokens))
          return fail(api_error(*error));
        request_.prompt.tokens = std::get<std::vector<std::int32_t>>(std::move(tokens));
        measure();
      }));
}

void Answering::tell_prompt() {
  if (!request_.tells_prompts) return measure();
  answerers_.measures->token_bytes(
      request_.prompt.tokens,
      lifetime_.guard([this](const lsp::Result<std::vector<std::string>>& bytes) {
        if (over_) return;
        if (const auto* error = std::get_if<lsp::ModelError>(&bytes))
          return fail(ApiError(400, error->message, request_.prompt_name, "invalid_prompt"));
        std::string text;
        for (const std::string& each : std::get<std::vector<std::string>>(bytes)) text += each;
        format_->prompt(std::move(text));
        measure();
      }));
}

// What is there of the answer counts as written by the model.
void Answering::prepare_begun() {
  answerers_.measures->tokenize(
      request_.begun, request_.begun_special,
      lifetime_.guard([this](const lsp::Result<std::vector<std::int32_t>>& tokens) {
        if (over_) return;
        if (const auto* error = std::get_if<lsp::ModelError>(&tokens))
          return fail(api_error(*error));
        lsp::GenerateOptions& options = request_.options;
        options.written = std::get<std::vector<std::int32_t>>(tokens);
        const auto count = static_cast<std::int64_t>(options.written.size());
        options.max_tokens += count;
        if (options.max_all_tokens > 0) options.max_all_tokens += count;
        so_far_.generated = options.written;
        so_far_.text = request_.begun;
        measure();
      }));
}

void Answering::measure() {
  if (answerers_.measures == nullptr) return ready();
  answerers_.measures->measure(
      request_.prompt, request_.options,
      lifetime_.guard([this](const lsp::Result<std::int64_t>& tokens) { measured(tokens); }));
}

void Answering::measured(const lsp::Result<std::int64_t>& tokens) {
  if (over_) return;
  if (const auto* error = std::get_if<lsp::ModelError>(&tokens)) {
    // A model that is there cannot be shown this prompt.
    const bool refused = error->kind == lsp::ModelError::Kind::failed;
    const std::string field = request_.prompt.tools.empty() ? request_.prompt_name : "tools";
    return fail(refused ? ApiError(400, error->message, field, "invalid_prompt")
                        : api_error(*error));
  }
  answerers_.measures->describe(lifetime_.guard(
      [this, count = std::get<std::int64_t>(tokens)](const lsp::Result<lsp::ModelDescription>& is) {
        if (over_) return;
        if (const auto* error = std::get_if<lsp::ModelError>(&is)) return fail(api_error(*error));
        const auto context = std::get<lsp::ModelDescription>(is).profile.context_tokens;
        if (count < context) return ready();
        fail({400,
              fmt::format("This model's maximum context length is {} tokens, the answer included. "
                          "However, the prompt has {} tokens.",
                          context, count),
              request_.prompt_name, "context_length_exceeded"});
      }));
}

void Answering::ready() {
  prompts_.push_back(request_.prompt);
  if (prompts_.size() < request_.sources.size()) return prepare();
  generate();
}

// With the next prompt.
void Answering::answer_next(const lsp::Answer& answer) {
  Events events = format_->next(answer);
  if (request_.stream) {
    begin();
    write(events);
  }
  ++at_;
  now_ = {};
  so_far_ = {};
  told_ = -1;
  first_text_.reset();
  generate();
}

// Where no token is asked for, the prompt is read ahead of need.
void Answering::read_ahead() {
  id_ = answerers_.model.prefill(
      prompts_[at_], lifetime_.guard([this](const lsp::Result<lsp::Estimate>& result) {
        id_ = 0;
        if (over_) return;
        if (const auto* error = std::get_if<lsp::ModelError>(&result))
          return fail(api_error(*error));
        const auto& read = std::get<lsp::Estimate>(result);
        lsp::Answer nothing;
        nothing.finish = lsp::FinishReason::length;
        nothing.prompt_tokens = read.prompt_tokens;
        nothing.cached_tokens = read.prompt_tokens - read.uncached_tokens;
        finish(nothing);
      }));
  if (over_) id_ = 0;
}

void Answering::generate() {
  if (only_reads()) return read_ahead();
  lsp::GenerationEvents events;
  events.on_progress =
      lifetime_.guard([this](const lsp::GenerationProgress& progress) { on_progress(progress); });
  events.on_text = lifetime_.guard([this](const std::string& text) { on_text(text); });
  events.on_done =
      lifetime_.guard([this](const lsp::Result<lsp::Answer>& result) { on_done(result); });
  events.on_tokens = lifetime_.guard([this](const std::vector<std::int32_t>& tokens) {
    so_far_.generated.insert(so_far_.generated.end(), tokens.begin(), tokens.end());
  });
  events.on_probabilities = lifetime_.guard([this](std::vector<lsp::TokenProbability> told) {
    if (!over_) format_->probabilities(std::move(told));
  });
  events.on_thought = lifetime_.guard([this](const std::string& more) {
    if (over_) return;
    so_far_.thought += more;
    if (!request_.stream) return;
    begin();
    write(format_->thought(more));
  });
  if (request_.stream && !begun_)
    begin_ = host_.after(queue_known, lifetime_.guard([this] { begin(); }));
  const lsp::GenerationId id =
      answerers_.model.generate(prompts_[at_], request_.options, std::move(events));
  if (!over_) id_ = id;
}

void Answering::on_progress(const lsp::GenerationProgress& progress) {
  if (over_) return;
  using Phase = lsp::GenerationProgress::Phase;
  now_ = progress;
  if (!request_.stream) return;
  const bool reads = progress.phase != Phase::loading && progress.phase != Phase::queued;
  if (progress.ahead > 0 || reads) begin();
  if (!request_.progress || !begun_ || !reads || progress.prompt_done <= told_) return;
  told_ = progress.prompt_done;
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(host_.now() - started_);
  json shown{{"total", progress.prompt_tokens},
             {"cache", progress.cached_tokens},
             {"processed", static_cast<std::int64_t>(progress.prompt_done)},
             {"time_ms", time.count()}};
  if (progress.ahead > 0) shown["queue_position"] = progress.ahead;
  if (progress.eta) shown["eta_ms"] = progress.eta->count();
  write(format_->progress(std::move(shown)));
}

void Answering::on_text(const std::string& text) {
  if (over_) return;
  if (!first_text_) {
    first_text_ = host_.now();
    stop_after(request_.max_answer_time);
  }
  so_far_.text += text;
  if (request_.stream) {
    begin();
    write(format_->text(text));
  } else {
    format_->watch(text);
  }
  if (!over_ && format_->complete()) finish_early();
}

void Answering::on_done(const lsp::Result<lsp::Answer>& result) {
  id_ = 0;
  if (over_) return;
  if (const auto* error = std::get_if<lsp::ModelError>(&result)) return fail(api_error(*error));
  const auto& answer = std::get<lsp::Answer>(result);
  finish(answer);
  if (answered_) answered_(answer);
}

// With what there is: the time is over, or nothing more would be shown.
void Answering::finish_early() {
  if (over_) return;
  if (id_ != 0) answerers_.model.cancel(std::exchange(id_, 0));
  so_far_.prompt_tokens = now_.prompt_tokens;
  so_far_.cached_tokens = now_.cached_tokens;
  so_far_.thought_tokens = now_.thought_tokens;
  so_far_.answer_tokens = std::max<std::int64_t>(
      static_cast<std::int64_t>(so_far_.generated.size()) - now_.thought_tokens, 0);
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  so_far_.prompt_time = duration_cast<milliseconds>(first_text_.value_or(host_.now()) - started_);
  so_far_.answer_time = duration_cast<milliseconds>(host_.now() - started_) - so_far_.prompt_time;
  finish(so_far_);
}

void Answering::finish(const lsp::Answer& answer) {
  if (at_ + 1 < prompts_.size()) return answer_next(answer);
  if (request_.stream) {
    begin();
    write(format_->end(answer));
    if (format_->marks_end()) say("data: [DONE]\n\n");
    reply_->end();
  } else {
    const json whole = format_->whole(answer);
    if (begun_) {
      reply_->write(dump(whole));
      reply_->end();
    } else {
      HttpAnswer given = daemon::answer(whole);
      for (auto& header : headers()) given.headers.push_back(std::move(header));
      reply_->send(std::move(given));
    }
  }
  over_ = true;
}

// A client that has its headers is told in the way that is left.
void Answering::fail(const ApiError& error) {
  if (!begun_) {
    reply_->send(answer(error));
  } else {
    const std::string text = dump(to_json(error));
    reply_->write(request_.stream ? "data: " + text + "\n\n" : text);
    reply_->end();
  }
  over_ = true;
}

// How long it waits, as far as it is known.
HttpHeaders Answering::headers() const {
  HttpHeaders headers = request_.headers;
  headers.emplace_back("X-Hearth-Queue-Position", std::to_string(now_.ahead));
  if (now_.eta) headers.emplace_back("X-Hearth-Eta-Ms", std::to_string(now_.eta->count()));
  return headers;
}

void Answering::begin() {
  if (std::exchange(begun_, true) || over_) return;
  host_.cancel_timer(begin_);
  HttpHeaders all = headers();
  all.emplace_back("Content-Type", request_.stream ? "text/event-stream" : "application/json");
  all.emplace_back("Cache-Control", "no-cache");
  reply_->begin(200, std::move(all));
  if (request_.stream) write(format_->begin());
}

void Answering::keep_alive() {
  if (over_) return;
  const auto silent = host_.now() - last_;
  if (silent >= beat) give_sign();
  const auto next = std::chrono::ceil<std::chrono::milliseconds>(last_ + beat - host_.now());
  beat_ = host_.after(next, lifetime_.guard([this] { keep_alive(); }));
}

void Answering::give_sign() {
  if (!begun_) {
    begin();
  } else if (!request_.stream) {
    reply_->write(" ");
  } else {
    const std::string eta =
        now_.eta ? fmt::format(", {} s left", now_.eta->count() / 1000) : std::string();
    reply_->write(now_.ahead > 0 ? fmt::format(": {} requests go before{}\n\n", now_.ahead, eta)
                                 : ": still computing" + eta + "\n\n");
  }
  last_ = host_.now();
}

void Answering::write(const Events& events) {
  for (const json& event : events) say("data: " + dump(event) + "\n\n");
}

void Answering::say(std::string bytes) {
  last_ = host_.now();
  reply_->write(std::move(bytes));
}

void Answering::stop_after(std::optional<std::chrono::milliseconds> time) {
  host_.cancel_timer(limit_);
  if (time) limit_ = host_.after(*time, lifetime_.guard([this] { finish_early(); }));
}

}  // namespace hearth::daemon
