// One answer: prompt in, tokens out one by one, text through the filters, until a stop rule ends
// it. What an earlier run wrote goes through the same filters and counts.
#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "engine/draft_session.hpp"
#include "engine/engine.hpp"
#include "engine/forward/model.hpp"
#include "engine/prefix/cache.hpp"

namespace hearth::engine {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

void require_in_vocabulary(std::span<const TokenId> tokens, const Engine& engine) {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= engine.config().vocab_size) {
      throw Error("token " + std::to_string(token) + " is outside the model's vocabulary");
    }
  }
}

// Of what was written before.
Error not_written_here(std::size_t index) {
  return Error("token " + std::to_string(index) +
               " of what was written before is not what this request writes there");
}

}  // namespace

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
  require_in_vocabulary(request_.prompt.tokens, session.engine());
  require_in_vocabulary(request_.written, session.engine());
  if (request_.form) mask_.emplace(request_.form, session.runtime().vocabulary());
  lookup_.append(request_.prompt.tokens);
  take_written();
  known_ = request_.prompt.tokens;
  known_.insert(known_.end(), answer_.begin(), answer_.end());
}

// Brings everything but the session to where it was when the last of these tokens was written.
void Generation::take_written() {
  const std::span<const TokenId> written(request_.written);
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (reason_) {
      throw Error(std::to_string(written.size()) +
                  " tokens were written before, but the answer ends with the first " +
                  std::to_string(i));
    }
    if (is_stop(written[i])) throw not_written_here(i);
    if (is_undecided(written.subspan(i))) return;
    close_at_budget();
    if (closing_.empty()) {
      count(written[i]);
      accept(written[i]);
    } else {
      accept(take_closing());
    }
  }
}

// The last tokens may be the model's own, or the first of those that close a thought in which it
// would have stopped: they are decided again. Where all of those are there, both come to the same.
bool Generation::is_undecided(std::span<const TokenId> rest) const {
  if (!thinking_.thinking() || !closing_.empty() || budget_is_spent()) return false;
  const auto closing = end_of_thought(session_->engine().tokenizer(), last_byte_ != '\n');
  return rest.size() < closing.size() && std::ranges::mismatch(rest, closing).in1 == rest.end();
}

double Generation::prompt_done() const {
  const auto all = static_cast<double>(prompt_tokens());
  if (decoding_ || reason_) return all;
  return cached_ ? std::min(session_->prefill_done(), all) : 0;
}

std::size_t Generation::answer_done() const {
  if (decoding_ || reason_) return answer_.size();
  const double behind = session_->prefill_done() - static_cast<double>(prompt_tokens());
  return cached_ && behind > 0 ? static_cast<std::size_t>(behind) : 0;
}

Progress Generation::step(const std::atomic<bool>* interrupt) try {
  if (reason_) return finish();
  if (!cached_) {
    const auto from = session_->sync(known_, prompt_tokens(), interrupt);
    if (!from) return Progress::interrupted;
    cached_ = std::min(*from, prompt_tokens());
    return Progress::more;
  }
  if (!decoding_) {
    const Progress progress = read(interrupt);
    if (progress != Progress::done) return progress;
    replaying_ = false;
    decoding_ = true;
    if (session_->tokens().size() == known_.size()) pending_.reset();
    known_.clear();
    if (pending_) return Progress::more;
  }
  if (pending_) {
    const Progress drafted = draft(interrupt);
    if (drafted != Progress::done) return drafted;
    if (decode(interrupt) == Progress::interrupted) return Progress::interrupted;
  } else {
    accept(next(session_->logits(), session_->tokens().size()));
  }
  if (reason_) return finish();
  keep_now_and_then(interrupt);
  return Progress::more;
} catch (const kernels::LostDevice&) {
  go_back();
  return Progress::more;
} catch (const LostState&) {
  go_back();
  return Progress::more;
}

// The session has to begin again: it goes back to what is kept, and replays the answer.
void Generation::go_back() {
  known_ = request_.prompt.tokens;
  known_.insert(known_.end(), answer_.begin(), answer_.end());
  cached_.reset();
  drafts_.reset();
  replaying_ = decoding_ = false;
}

// The prompt, and what was written behind it except its last token, which decode() takes.
Progress Generation::read(const std::atomic<bool>* interrupt) {
  if (session_->tokens().size() <= prompt_tokens()) {
    const Progress progress = session_->prefill(request_.prompt.tokens, request_.prompt.boundaries,
                                                interrupt, request_.checkpoints);
    if (progress != Progress::done) return progress;
  }
  if (session_->tokens().size() + 1 >= known_.size()) return Progress::done;
  replaying_ = true;
  const auto began = Clock::now();
  const std::uint64_t before = session_->tokens_computed();
  const Progress progress = session_->replay(std::span(known_).first(known_.size() - 1), interrupt);
  counts_.replayed += session_->tokens_computed() - before;
  unkept_ += seconds_since(began);
  return progress;
}

void Generation::keep_now_and_then(const std::atomic<bool>* interrupt) try {
  if (!request_.checkpoints) return;
  PrefixCache& prefixes = session_->runtime().prefixes();
  if (!prefixes.answer_due(session_->tokens(), prompt_tokens(), unkept_)) return;
  if (session_->keep_answer(interrupt)) unkept_ = 0;
} catch (const std::bad_alloc&) {
  // What is not kept is computed again when it is wanted.
}

void Generation::keep() {
  if (!request_.checkpoints || reason_ || unkept_ == 0) return;
  if (unkept_ < session_->engine().options().disk_min_seconds) return;
  session_->keep_answer(nullptr);
  unkept_ = 0;
}

Progress Generation::finish() try {
  if (!request_.checkpoints) return Progress::done;
  std::vector<TokenId> all = request_.prompt.tokens;
  all.insert(all.end(), answer_.begin(), answer_.end());
  session_->runtime().prefixes().drop_answer(all, prompt_tokens());
  return Progress::done;
} catch (const std::bad_alloc&) {
  return Progress::done;  // they go when room is needed
}

// The token that follows `context`, the prompt and what of the answer there is.
TokenId Generation::choose(std::vector<float> row, std::span<const TokenId> context) const {
  return sample(row, request_.sampling, context, prompt_tokens(), context.size());
}

// The one that follows the first `context` tokens of the session: the same, except where a thought
// has to end: at its budget, or where the model would stop in the middle of it. Then come the
// tokens with which the template closes a thought, so that an answer follows.
TokenId Generation::next(std::span<const float> logits, std::size_t context) {
  close_at_budget();
  if (closing_.empty()) {
    std::vector<float> row(logits.begin(), logits.end());
    if (mask_ && !thinking_.thinking()) mask_->mask(row, request_.stop_ids);
    const TokenId token = choose(std::move(row), std::span(session_->tokens()).first(context));
    if (!thinking_.thinking() || !is_stop(token)) {
      if (request_.top_probabilities >= 0 && !thinking_.thinking() && !is_stop(token))
        probabilities_.push_back(probability(logits, token, request_.top_probabilities));
      count(token);
      return token;
    }
    close_thought();
  }
  return take_closing();
}

TokenId Generation::take_closing() {
  const TokenId token = closing_.front();
  closing_.pop_front();
  ++thought_;
  return token;
}

// Counts a token of the model's own. Line breaks behind a thought that it closed are the thought's,
// as they are where it was closed.
void Generation::count(TokenId token) {
  if (thinking_.thinking()) {
    ++thought_;
  } else if (!breaks_.empty()) {
    if (token != breaks_.front()) return breaks_.clear();
    breaks_.pop_front();
    ++thought_;
  }
}

bool Generation::budget_is_spent() const {
  return static_cast<std::int64_t>(thought_) >= thinking_budget_;
}

void Generation::close_at_budget() {
  if (!thinking_.thinking() || !closing_.empty() || !budget_is_spent()) return;
  thought_cut_ = request_.thinking_budget > 0;  // else none was wanted, and nothing was cut
  close_thought();
}

void Generation::close_thought() {
  const auto closing = end_of_thought(session_->engine().tokenizer(), last_byte_ != '\n');
  closing_.assign(closing.begin(), closing.end());
}

bool Generation::is_stop(TokenId token) const {
  return std::ranges::find(request_.stop_ids, token) != request_.stop_ids.end();
}

// Which logits sampling can depend on: the largest, and those that penalties and bias change, which
// may push as many others down.
Generation::WantedLogits Generation::wanted_logits() const {
  constexpr std::size_t max_always = 512;  // more, and all of them cost less
  if (mask_ || request_.top_probabilities >= 0) return {};
  const SamplingParams& sampling = request_.sampling;
  int top = sampling.temperature == 0 ? 1 : sampling.top_k;
  std::vector<TokenId> always;
  always.reserve(sampling.bias.size());
  for (const auto& [id, bias] : sampling.bias) always.push_back(id);
  const auto penalize = [&](std::span<const TokenId> tokens) {
    always.insert(always.end(), tokens.begin(), tokens.end());
  };
  if (sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
      sampling.repetition_penalty != 1) {
    penalize(answer_);
    penalize(drafts_->tokens);  // which the rows behind them see
  }
  if (sampling.repetition_penalty != 1) penalize(request_.prompt.tokens);
  std::ranges::sort(always);
  const auto repeated = std::ranges::unique(always);
  always.erase(repeated.begin(), repeated.end());
  if (top == 0 || always.size() > max_always) return {};
  top += static_cast<int>(always.size());
  return {top, std::move(always)};
}

// The pending token and one that is sampled behind the last draft need room, too.
std::size_t Generation::room_for_drafts() const {
  const Engine& engine = session_->engine();
  const std::int64_t unthought =
      thinking_.thinking() ? thinking_budget_ - static_cast<std::int64_t>(thought_) : 0;
  const std::int64_t unwritten =
      request_.max_tokens - static_cast<std::int64_t>(answer_tokens()) + unthought;
  const std::int64_t room = std::min(unwritten, engine.context() - session_->position() - 1) - 1;
  return std::min(engine.options().drafts,
                  static_cast<std::size_t>(std::max<std::int64_t>(room, 0)));
}

// What may follow the pending token, except what the small model has to draft yet.
Generation::Drafts Generation::plan_drafts() {
  const auto began = Clock::now();
  Drafts drafts;
  const std::size_t max = room_for_drafts();
  DraftLength& length = session_->draft_length();
  PromptLookup::Draft copied = lookup_.draft(max);
  if (!copied.tokens.empty()) {
    drafts.source = copied.source();
    copied.tokens.resize(std::min(copied.tokens.size(), length.choose(drafts.source)));
    drafts.tokens = std::move(copied.tokens);
  }
  if (max > 0 && drafts.tokens.empty()) {
    if (request_.drafts != nullptr && request_.drafts->works()) {
      drafts.source = DraftLength::Source::small_model;
      drafts.wanted = std::min(max, length.choose(drafts.source));
    } else if (session_->engine().model().mtp) {
      drafts.source = DraftLength::Source::mtp;
      const std::size_t count = std::min(max, length.choose(drafts.source));
      if (count > 0) drafts.tokens = session_->draft(*pending_, static_cast<int>(count));
    }
  }
  drafts.seconds = seconds_since(began);
  return drafts;
}

// Makes the drafts of the next pass. more: the small model still reads what it had not followed,
// which does not count as the price of these drafts: it would never pay again where it has paused.
Progress Generation::draft(const std::atomic<bool>* interrupt) {
  if (!drafts_) drafts_ = plan_drafts();
  if (drafts_->wanted == 0) return Progress::done;
  const auto began = Clock::now();
  const auto choose_draft = [this](std::span<const float> logits,
                                   std::span<const TokenId> context) {
    return choose({logits.begin(), logits.end()}, context);
  };
  WantedLogits wanted = wanted_logits();
  request_.drafts->want_logits(wanted.top, std::move(wanted.always));
  const Progress progress =
      request_.drafts->draft(request_.prompt, answer_, drafts_->wanted, choose_draft, interrupt);
  if (progress != Progress::done) return progress;
  drafts_->tokens = request_.drafts->drafted();
  drafts_->wanted = 0;
  drafts_->seconds += seconds_since(began);
  return Progress::done;
}

void Generation::stop_drafts() {
  request_.drafts = nullptr;
  if (drafts_) drafts_->wanted = 0;
}

// One pass over the pending token and what may follow it. Every row is sampled as if it were alone;
// rows behind the first wrong draft token are taken back.
Progress Generation::decode(const std::atomic<bool>* interrupt) {
  const auto began = Clock::now();
  std::vector<TokenId> rows{*pending_};
  rows.insert(rows.end(), drafts_->tokens.begin(), drafts_->tokens.end());
  const auto before = session_->tokens().size();
  WantedLogits wanted = wanted_logits();
  session_->want_logits(wanted.top, std::move(wanted.always));
  if (session_->decode(rows, interrupt) == Progress::interrupted) return Progress::interrupted;
  const Drafts drafts = *std::exchange(drafts_, std::nullopt);
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
  const double spent = drafts.seconds + seconds_since(began);
  unkept_ += spent;
  session_->draft_length().record(drafts.source, drafts.tokens.size(), kept - 1, spent);
  ++counts_.passes;
  counts_.tokens += kept;
  counts_.drafted += drafts.tokens.size();
  counts_.accepted += kept - 1;
  return reason_ ? Progress::done : Progress::more;
}

void Generation::accept(TokenId token) {
  const std::size_t index = answer_.size();
  if (index < request_.written.size() && token != request_.written[index])
    throw not_written_here(index);
  if (is_stop(token)) return end(StopReason::stop_token);
  answer_.push_back(token);
  lookup_.append(std::span(&token, 1));
  const Tokenizer& tokenizer = session_->engine().tokenizer();
  const std::string_view bytes = tokenizer.bytes(token);
  if (mask_ && !thinking_.thinking() && !tokenizer.is_special(token)) mask_->accept(bytes);
  if (!tokenizer.is_special(token) || (thinking_.thinking() && bytes == end_of_thought_tag)) {
    if (!bytes.empty()) last_byte_ = bytes.back();
    const bool thought = thinking_.thinking();
    const std::string visible = thinking_.push(utf8_.push(bytes));
    if (thought && !thinking_.thinking() && closing_.empty()) {
      const auto closing = end_of_thought(tokenizer, false);
      breaks_.assign(closing.begin() + 1, closing.end());
    }
    StopStrings::Result result = stop_strings_.push(visible);
    visible_ += result.text;
    if (result.stopped) {
      reason_ = StopReason::stop_string;  // text after the stop string is not shown
      return;
    }
  }
  if (mask_ && mask_->ended()) return end(StopReason::stop_token);
  if (!thinking_.thinking() && static_cast<std::int64_t>(answer_tokens()) >= request_.max_tokens)
    return end(StopReason::max_tokens);
  if (request_.max_all_tokens > 0 &&
      static_cast<std::int64_t>(answer_.size()) >= request_.max_all_tokens)
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
