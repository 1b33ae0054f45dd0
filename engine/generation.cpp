// One answer: prompt in, tokens out one by one, text through the filters, until a stop rule ends
// it.
#include <utility>

#include "engine/engine.hpp"

namespace hearth::engine {

Generation::Generation(Session& session, GenerationRequest request)
    : session_(&session),
      request_(std::move(request)),
      thinking_(request_.thinking),
      stop_strings_(request_.stop_strings) {
  validate(request_.sampling);
  const std::size_t prompt = prompt_tokens();
  const auto context = static_cast<std::size_t>(session.engine().context());
  if (prompt == 0) throw Error("the prompt is empty");
  if (prompt >= context) {
    throw Error("the prompt has " + std::to_string(prompt) + " tokens; the context holds " +
                std::to_string(context) + ", the answer included");
  }
  for (const TokenId token : request_.prompt.tokens) {
    if (token < 0 || token >= session.engine().config().vocab_size) {
      throw Error("token " + std::to_string(token) + " is outside the model's vocabulary");
    }
  }
  cached_ = session_->sync(request_.prompt.tokens);
}

double Generation::prompt_done() const {
  return decoding_ ? static_cast<double>(prompt_tokens()) : session_->prefill_done();
}

Progress Generation::step(const std::atomic<bool>* interrupt) {
  if (reason_) return Progress::done;
  if (!decoding_) {
    const Progress progress =
        session_->prefill(request_.prompt.tokens, request_.prompt.marks, interrupt);
    if (progress != Progress::done) return progress;
    decoding_ = true;
  } else if (pending_) {
    if (session_->decode(*pending_, interrupt) == Progress::interrupted)
      return Progress::interrupted;
    pending_.reset();
  }
  std::vector<float> logits(session_->logits().begin(), session_->logits().end());
  const std::size_t position = prompt_tokens() + answer_.size();
  accept(sample(logits, request_.sampling, session_->tokens(), prompt_tokens(), position));
  return reason_ ? Progress::done : Progress::more;
}

void Generation::accept(TokenId token) {
  for (const TokenId stop : request_.stop_ids) {
    if (token == stop) return end(StopReason::stop_token);
  }
  answer_.push_back(token);
  const Tokenizer& tokenizer = session_->engine().tokenizer();
  if (!tokenizer.is_special(token)) {
    const std::string visible = thinking_.push(utf8_.push(tokenizer.bytes(token)));
    StopStrings::Result result = stop_strings_.push(visible);
    visible_ += result.text;
    if (result.stopped) {
      reason_ = StopReason::stop_string;  // what stands behind the stop string is not shown
      return;
    }
  }
  if (static_cast<std::int64_t>(answer_.size()) >= request_.max_tokens)
    return end(StopReason::max_tokens);
  const auto next = static_cast<std::int64_t>(prompt_tokens() + answer_.size());
  if (next >= session_->engine().context()) return end(StopReason::context_full);
  pending_ = token;
}

void Generation::end(StopReason reason) {
  reason_ = reason;
  const StopStrings::Result result =
      stop_strings_.push(thinking_.push(utf8_.finish()) + thinking_.finish());
  visible_ += result.text;
  if (!result.stopped) visible_ += stop_strings_.finish();
}

std::string Generation::take_text() {
  return std::exchange(visible_, {});
}

}  // namespace hearth::engine
