// One answer: prompt in, tokens out one by one, text through the filters, until a stop rule ends
// it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/engine.hpp"
#include "engine/forward/model.hpp"

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
  if (request_.thinking) {
    const auto room = static_cast<std::int64_t>(context - prompt);
    const std::int64_t for_answer = std::min(request_.max_tokens, room / 2);
    const auto closing = end_of_thought(session.engine().tokenizer(), true);
    const std::int64_t max = room - for_answer - static_cast<std::int64_t>(closing.size());
    thinking_budget_ =
        std::clamp<std::int64_t>(max, 0, std::max<std::int64_t>(request_.thinking_budget, 0));
  }
  for (const TokenId token : request_.prompt.tokens) {
    if (token < 0 || token >= session.engine().config().vocab_size) {
      throw Error("token " + std::to_string(token) + " is outside the model's vocabulary");
    }
  }
}

double Generation::prompt_done() const {
  if (!cached_) return 0;
  return decoding_ ? static_cast<double>(prompt_tokens()) : session_->prefill_done();
}

Progress Generation::step(const std::atomic<bool>* interrupt) {
  if (reason_) return Progress::done;
  if (!cached_) {
    cached_ = session_->sync(request_.prompt.tokens, interrupt);
    return cached_ ? Progress::more : Progress::interrupted;
  }
  if (decoding_ && pending_) return decode(interrupt);
  if (!decoding_) {
    const Progress progress =
        session_->prefill(request_.prompt.tokens, request_.prompt.boundaries, interrupt);
    if (progress != Progress::done) return progress;
    decoding_ = true;
    lookup_.append(request_.prompt.tokens);
  }
  accept(next(session_->logits(), session_->tokens().size()));
  return reason_ ? Progress::done : Progress::more;
}

// The token that follows the first `context` tokens of the session.
TokenId Generation::choose(std::span<const float> logits, std::size_t context) const {
  std::vector<float> row(logits.begin(), logits.end());
  return sample(row, request_.sampling, std::span(session_->tokens()).first(context),
                prompt_tokens(), prompt_tokens() + answer_.size());
}

// The same, except where a thought has to end: at its budget, or where the model would stop in the
// middle of it. Then come the tokens with which the template closes a thought, so that an answer
// follows.
TokenId Generation::next(std::span<const float> logits, std::size_t context) {
  const bool thinks = thinking_.thinking();
  if (thinks && closing_.empty() && static_cast<std::int64_t>(thought_) >= thinking_budget_) {
    thought_cut_ = true;
    close_thought();
  }
  if (closing_.empty()) {
    const TokenId token = choose(logits, context);
    if (!thinks) return token;
    if (!is_stop(token)) {
      ++thought_;
      return token;
    }
    close_thought();
  }
  const TokenId token = closing_.front();
  closing_.pop_front();
  ++thought_;
  return token;
}

void Generation::close_thought() {
  const auto closing = end_of_thought(session_->engine().tokenizer(), last_byte_ != '\n');
  closing_.assign(closing.begin(), closing.end());
}

bool Generation::is_stop(TokenId token) const {
  return std::ranges::find(request_.stop_ids, token) != request_.stop_ids.end();
}

// Says which logits sampling can depend on: the largest, and those that penalties and bias change,
// which may push as many others down.
void Generation::want_logits() {
  constexpr std::size_t max_always = 512;  // more, and all of them cost less
  const SamplingParams& sampling = request_.sampling;
  int top = sampling.temperature == 0 ? 1 : sampling.top_k;
  std::vector<TokenId> always;
  always.reserve(sampling.bias.size());
  for (const auto& [id, bias] : sampling.bias) always.push_back(id);
  if (sampling.presence_penalty != 0) always.insert(always.end(), answer_.begin(), answer_.end());
  if (sampling.repetition_penalty != 1) {
    always.insert(always.end(), session_->tokens().begin(), session_->tokens().end());
    always.push_back(*pending_);
  }
  std::ranges::sort(always);
  const auto repeated = std::ranges::unique(always);
  always.erase(repeated.begin(), repeated.end());
  const bool all = top == 0 || always.size() > max_always;
  if (!all) top += static_cast<int>(always.size());
  session_->want_logits(all ? 0 : top, all ? std::vector<TokenId>() : std::move(always));
}

// What may follow the pending token.
Generation::Drafts Generation::draft() {
  Drafts drafts;
  const Engine& engine = session_->engine();
  // The pending token and one that is sampled behind the last draft need room, too.
  const std::int64_t unthought =
      thinking_.thinking() ? thinking_budget_ - static_cast<std::int64_t>(thought_) : 0;
  const std::int64_t unwritten =
      request_.max_tokens - static_cast<std::int64_t>(answer_tokens()) + unthought;
  const std::int64_t room = std::min(unwritten, engine.context() - session_->position() - 1) - 1;
  const std::size_t max =
      std::min(engine.options().drafts, static_cast<std::size_t>(std::max<std::int64_t>(room, 0)));
  DraftLength& length = session_->draft_length();
  PromptLookup::Draft copied = lookup_.draft(max);
  if (!copied.tokens.empty()) {
    drafts.source = copied.source();
    copied.tokens.resize(std::min(copied.tokens.size(), length.choose(drafts.source)));
    drafts.tokens = std::move(copied.tokens);
  } else if (max > 0 && engine.model().mtp) {
    drafts.source = DraftLength::Source::mtp;
    const std::size_t count = std::min(max, length.choose(drafts.source));
    if (count > 0) drafts.tokens = session_->draft(*pending_, static_cast<int>(count));
  }
  return drafts;
}

// One pass over the pending token and what may follow it. Every row is sampled as if it were alone;
// rows behind the first wrong draft token are taken back.
Progress Generation::decode(const std::atomic<bool>* interrupt) {
  const auto began = std::chrono::steady_clock::now();
  const Drafts drafts = draft();
  std::vector<TokenId> rows{*pending_};
  rows.insert(rows.end(), drafts.tokens.begin(), drafts.tokens.end());
  const auto before = session_->tokens().size();
  want_logits();
  if (session_->decode(rows, interrupt) == Progress::interrupted) return Progress::interrupted;
  pending_.reset();
  std::size_t kept = 0;
  bool goes_on = true;
  while (goes_on) {
    const TokenId token = next(session_->decoded_logits(kept), before + kept + 1);
    accept(token);
    ++kept;
    goes_on = !reason_ && kept < rows.size() && token == rows[kept];
  }
  session_->keep_decoded(kept);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - began;
  session_->draft_length().record(drafts.source, drafts.tokens.size(), kept - 1, spent.count());
  ++counts_.passes;
  counts_.tokens += kept;
  counts_.drafted += drafts.tokens.size();
  counts_.accepted += kept - 1;
  return reason_ ? Progress::done : Progress::more;
}

void Generation::accept(TokenId token) {
  if (is_stop(token)) return end(StopReason::stop_token);
  answer_.push_back(token);
  lookup_.append(std::span(&token, 1));
  const Tokenizer& tokenizer = session_->engine().tokenizer();
  const std::string_view bytes = tokenizer.bytes(token);
  if (!tokenizer.is_special(token) || (thinking_.thinking() && bytes == end_of_thought_tag)) {
    if (!bytes.empty()) last_byte_ = bytes.back();
    const std::string visible = thinking_.push(utf8_.push(bytes));
    StopStrings::Result result = stop_strings_.push(visible);
    visible_ += result.text;
    if (result.stopped) {
      reason_ = StopReason::stop_string;  // text after the stop string is not shown
      return;
    }
  }
  if (!thinking_.thinking() && static_cast<std::int64_t>(answer_tokens()) >= request_.max_tokens)
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
