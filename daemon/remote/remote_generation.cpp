// A prompt of tokens is gone on with where it broke off. One of text is answered from its beginning
// again: what comes as it came before is not told twice.
#include "daemon/remote/remote_generation.hpp"

#include <algorithm>
#include <utility>

#include "daemon/models/conversation.hpp"
#include "daemon/remote/request_body.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

constexpr std::int64_t tokens_of_turn = 8;   // of a template around each message, about
constexpr std::int64_t fewest_answer = 256;  // that is asked for beside a long prompt
constexpr double fewest_bytes_of_token = 2;  // of code: a prompt has no more tokens than this says
constexpr std::size_t longest_answer = std::size_t{64} << 20;

std::chrono::milliseconds between(RemoteGeneration::Time from, RemoteGeneration::Time to) {
  return std::chrono::round<std::chrono::milliseconds>(to - from);
}

std::int64_t estimated_tokens(const lsp::Prompt& prompt, double bytes_per_token) {
  return static_cast<std::int64_t>(static_cast<double>(lsp::bytes_of(prompt)) / bytes_per_token) +
         static_cast<std::int64_t>(prompt.messages.size() + 1) * tokens_of_turn;
}

}  // namespace

RemoteGeneration::RemoteGeneration(lsp::Prompt prompt, lsp::GenerateOptions options,
                                   lsp::GenerationEvents events)
    : prompt_(std::move(prompt)), options_(std::move(options)), events_(std::move(events)) {}

void RemoteGeneration::forget_told() {
  text_.clear();
  thought_.clear();
  raw_.clear();
  tokens_.clear();
  filter_.reset();
  tokens_known_ = true;
  thought_cut_ = false;
  thought_pieces_ = answer_pieces_ = 0;
}

void RemoteGeneration::begin_request(Time now) {
  ++requests_;
  if (tokenizer_ == nullptr) thought_pieces_ = answer_pieces_ = 0;
  matched_text_ = matched_thought_ = 0;
  streamed_.emplace(prompt_.kind == lsp::Prompt::Kind::chat);
  usage_.reset();
  finish_.reset();
  at_stop_string_ = false;
  sent_ = now;
  first_.reset();
}

RemoteGeneration::Rendering RemoteGeneration::rendering(
    std::shared_ptr<const RemoteTokenizer> tokenizer, std::int64_t context) const {
  const bool there =
      rendered_ && rendered_->tokenizer == tokenizer && rendered_->context == context;
  if (!tokenizer || there) return {};
  return [tokenizer = std::move(tokenizer), context, prompt = prompt_,
          options = options_]() -> std::shared_ptr<const RemoteTokens> {
    auto tokens = std::make_shared<RemoteTokens>();
    tokens->tokenizer = tokenizer;
    tokens->context = context;
    try {
      const PromptReader reader = tokenizer->reader(context);
      tokens->request =
          make_request(reader, fit_conversation(reader, prompt, options).prompt, options);
    } catch (const std::exception& fault) {
      tokens->fault = lsp::failure_text(fault);
    }
    return tokens;
  };
}

RemoteRequest RemoteGeneration::next_request(const ServerAddress& address, const ServerFacts& facts,
                                             const RemoteTokenizer* tokenizer,
                                             double bytes_per_token, Time now) {
  const bool told = !text_.empty() || !thought_.empty();
  // The server takes other prompts than before: there is nothing that this could go on behind.
  if (requests_ > 0 && tokenizer != tokenizer_) {
    if (told && !events_.on_restart)
      throw Error(address.place() + " is another server than it was");
    if (told) events_.on_restart();
    forget_told();
  }
  tokenizer_ = tokenizer;
  begin_request(now);
  return tokenizer != nullptr ? request_of_tokens(address, facts)
                              : request_of_text(address, facts, bytes_per_token);
}

RemoteRequest RemoteGeneration::request_of_tokens(const ServerAddress& address,
                                                  const ServerFacts& facts) {
  const PromptReader reader = tokenizer_->reader(facts.context);
  const engine::GenerationRequest& asked = rendered_->request;
  if (!rendered_->fault.empty()) throw Error(rendered_->fault);
  thinking_ = asked.thinking;
  budget_ = asked.thinking ? asked.thinking_budget : 0;
  if (!filter_) {
    filter_.emplace(thinking_);
    // What an earlier process was told of it.
    tokens_ = options_.written;
    raw_ = engine::Utf8Stream().push(reader.tokenizer.decode(tokens_));
    text_ = filter_->push(raw_);
    thought_ = filter_->take_thought();
    (text_.empty() ? thought_pieces_ : answer_pieces_) = static_cast<std::int64_t>(tokens_.size());
    if (events_.on_thought && !thought_.empty()) events_.on_thought(thought_);
  }
  std::vector<std::int32_t> tokens = asked.prompt.tokens;
  prompt_tokens_ = static_cast<std::int64_t>(tokens.size());
  const std::vector<std::int32_t> written =
      tokens_known_ ? tokens_ : tokenizer_->written(raw_, thinking_);
  tokens.insert(tokens.end(), written.begin(), written.end());
  const auto used = static_cast<std::int64_t>(tokens.size());
  if (used >= reader.context) {
    throw Error(std::to_string(used) + " tokens of prompt and answer do not fit the context of " +
                std::to_string(reader.context) + " at " + address.place());
  }
  const std::int64_t all = options_.max_all_tokens > 0
                               ? std::min(options_.max_all_tokens, budget_ + options_.max_tokens)
                               : budget_ + options_.max_tokens;
  const std::int64_t room = thought_cut_ ? options_.max_tokens - answer_pieces_
                                         : all - static_cast<std::int64_t>(written.size());
  lsp::GenerateOptions options = options_;
  options.stop_strings = asked.stop_strings;
  if (options.sampling == lsp::Sampling::recommended) {
    const engine::SamplingParams& drawn = asked.sampling;
    options.sampling_choice.temperature = drawn.temperature;
    options.sampling_choice.top_k = drawn.top_k;
    options.sampling_choice.top_p = drawn.top_p;
    options.sampling_choice.min_p = drawn.min_p;
    options.sampling_choice.repetition_penalty = drawn.repetition_penalty;
  }
  const AskedBody body = body_of_tokens(facts, tokens, asked.stop_ids, options,
                                        std::clamp<std::int64_t>(room, 1, reader.context - used));
  return {address.post_api(body.path, body.body), body.form};
}

std::int64_t RemoteGeneration::thought_budget(const ServerFacts& facts) const {
  const bool may = prompt_.kind == lsp::Prompt::Kind::chat && facts.thinks;
  return may && options_.asks_to_think() != false ? options_.thinking_budget : 0;
}

RemoteRequest RemoteGeneration::request_of_text(const ServerAddress& address,
                                                const ServerFacts& facts, double bytes_per_token) {
  budget_ = thought_budget(facts);
  // Text is asked for from its beginning.
  if (!options_.written.empty() && requests_ == 1) {
    if (!events_.on_restart) throw Error(address.place() + " cannot go on with half an answer");
    events_.on_restart();
  }
  lsp::Prompt prompt = prompt_;
  if (facts.context > 0 && !options_.keep_turns) {
    const std::int64_t answer = std::min(options_.max_tokens + budget_, facts.context / 2);
    prompt = fit_conversation(prompt_, facts.context - answer, [&](const lsp::Prompt& part) {
               return estimated_tokens(part, bytes_per_token);
             }).prompt;
  }
  prompt_tokens_ = estimated_tokens(prompt, bytes_per_token);
  std::int64_t room = budget_ + options_.max_tokens;
  if (options_.max_all_tokens > 0) room = std::min(room, options_.max_all_tokens);
  if (facts.context > 0) {
    const std::int64_t left = facts.context - estimated_tokens(prompt, fewest_bytes_of_token);
    room = std::min(room, std::max(left, fewest_answer));
  }
  const AskedBody body = body_of_text(facts, prompt, options_, room);
  return {body.of_api ? address.post_api(body.path, body.body)
                      : address.post_root(body.path, body.body),
          body.form};
}

AnswerText::Parts RemoteGeneration::split(std::string_view came) {
  if (tokenizer_ == nullptr) return streamed_->push(came);
  raw_ += came;
  AnswerText::Parts parts;
  parts.text = filter_->push(came);
  parts.thought = filter_->take_thought();
  return parts;
}

RemoteGeneration::Heard RemoteGeneration::hear(AnswerChunk chunk, Time now) {
  if (!first_ && chunk.pieces > 0) first_ = now;
  if (chunk.usage) usage_ = chunk.usage;
  if (chunk.finish) finish_ = chunk.finish;
  at_stop_string_ |= chunk.at_stop_string;
  auto [thought, text] = split(chunk.text);
  thought.insert(0, chunk.thought);
  (text.empty() ? thought_pieces_ : answer_pieces_) += chunk.pieces;
  if (tokenizer_ != nullptr) {
    while (!chunk.tokens.empty() && tokenizer_->ends_answer(chunk.tokens.back()))
      chunk.tokens.pop_back();
    if (chunk.tokens.empty() && chunk.pieces > 0) tokens_known_ = false;
    if (tokens_known_ && !chunk.tokens.empty()) {
      tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
      if (events_.on_tokens) events_.on_tokens(std::move(chunk.tokens));
    }
  }
  if (text_.size() + thought_.size() > longest_answer) {
    finish_ = lsp::FinishReason::length;
    return Heard::done;
  }
  const Heard heard = take(std::move(thought), std::move(text));
  if (heard != Heard::more || !answer_is_full()) return heard;
  finish_ = lsp::FinishReason::length;
  return Heard::done;
}

// Room that a short thought left is no room for the answer.
bool RemoteGeneration::answer_is_full() const {
  return budget_ > 0 && answer_pieces_ > options_.max_tokens;
}

// False: it is not what was told. What is left of `came` follows that.
bool RemoteGeneration::matches(std::string& came, const std::string& told,
                               std::size_t& matched) const {
  const std::size_t both = std::min(came.size(), told.size() - matched);
  if (told.compare(matched, both, came, 0, both) != 0) return false;
  matched += both;
  came.erase(0, both);
  return true;
}

RemoteGeneration::Heard RemoteGeneration::take(std::string thought, std::string text) {
  if (tokenizer_ == nullptr) {
    const std::size_t thought_before = matched_thought_;
    const std::size_t text_before = matched_text_;
    const std::string whole_thought = thought;
    const std::string whole_text = text;
    if (!matches(thought, thought_, matched_thought_) || !matches(text, text_, matched_text_))
      return begin_anew(thought_.substr(0, thought_before) + whole_thought,
                        text_.substr(0, text_before) + whole_text);
    matched_thought_ += thought.size();
    matched_text_ += text.size();
  }
  tell(std::move(thought), std::move(text));
  return Heard::more;
}

RemoteGeneration::Heard RemoteGeneration::begin_anew(std::string thought, std::string text) {
  if (!events_.on_restart) return Heard::lost;
  thought_.clear();
  text_.clear();
  events_.on_restart();
  matched_thought_ = thought.size();
  matched_text_ = text.size();
  tell(std::move(thought), std::move(text));
  return Heard::more;
}

void RemoteGeneration::tell(std::string thought, std::string text) {
  thought_ += thought;
  text_ += text;
  if (!thought.empty() && events_.on_thought) events_.on_thought(std::move(thought));
  if (!text.empty() && events_.on_text) events_.on_text(std::move(text));
}

RemoteGeneration::Heard RemoteGeneration::end(Time now, bool& thinks) {
  AnswerText::Parts last;
  if (tokenizer_ == nullptr) {
    last = streamed_->finish();
  } else {
    last.text = filter_->finish();
    last.thought = filter_->take_thought();
  }
  Heard heard = take(std::move(last.thought), std::move(last.text));
  if (heard != Heard::more) return heard;
  const bool shorter = matched_text_ < text_.size() || matched_thought_ < thought_.size();
  if (tokenizer_ == nullptr && shorter) {
    heard = begin_anew(thought_.substr(0, matched_thought_), text_.substr(0, matched_text_));
    if (heard != Heard::more) return heard;
  }
  if (!first_) first_ = now;
  const bool cut = finish_ == lsp::FinishReason::length && text_.empty() && !thought_.empty();
  if (cut && tokenizer_ == nullptr && !std::exchange(thinks, true)) return Heard::ask_again;
  if (cut && tokenizer_ != nullptr && filter_->thinking() && !thought_cut_) {
    thought_cut_ = true;
    const auto closing = engine::end_of_thought(tokenizer_->tokenizer(), !raw_.ends_with('\n'));
    const std::string closed = tokenizer_->tokenizer().decode(closing);
    if (tokens_known_) tokens_.insert(tokens_.end(), closing.begin(), closing.end());
    if (tokens_known_ && events_.on_tokens) events_.on_tokens(closing);
    raw_ += closed;
    tell({}, filter_->push(closed));
    return Heard::ask_again;
  }
  return Heard::done;
}

lsp::Answer RemoteGeneration::answer(Time now) const {
  lsp::Answer answer;
  answer.text = text_;
  answer.thought = thought_;
  answer.thought_cut = thought_cut_;
  answer.finish = finish_.value_or(lsp::FinishReason::stop);
  answer.at_stop_string = at_stop_string_;
  answer.thought_tokens = thought_pieces_;
  answer.answer_tokens = answer_pieces_;
  answer.prompt_tokens = prompt_tokens_;
  if (usage_) {
    if (usage_->prompt_tokens > 0) answer.prompt_tokens = usage_->prompt_tokens;
    answer.cached_tokens = std::min(usage_->cached_tokens.value_or(0), answer.prompt_tokens);
    answer.thought_tokens = usage_->thought_tokens.value_or(thought_pieces_);
    const bool all_counted = tokenizer_ == nullptr || requests_ == 1;
    if (usage_->written_tokens > 0 && all_counted)
      answer.answer_tokens = std::max<std::int64_t>(usage_->written_tokens - answer.thought_tokens,
                                                    text_.empty() ? 0 : 1);
  }
  const Time first = first_.value_or(now);
  answer.prompt_time = between(sent_, first);
  answer.answer_time = between(first, now);
  if (tokenizer_ != nullptr)
    answer.generated = tokens_known_ ? tokens_ : tokenizer_->written(raw_, thinking_);
  return answer;
}

lsp::GenerationProgress RemoteGeneration::progress(lsp::GenerationProgress::Phase waiting,
                                                   std::int64_t ahead) const {
  using Phase = lsp::GenerationProgress::Phase;
  lsp::GenerationProgress progress;
  progress.phase = waiting;
  if (waiting == Phase::prefilling && first_)
    progress.phase = text_.empty() && !thought_.empty() ? Phase::thinking : Phase::generating;
  progress.ahead = ahead;
  progress.prompt_tokens = prompt_tokens_;
  progress.prompt_done = first_ ? static_cast<double>(prompt_tokens_) : 0;
  progress.thought_tokens = thought_pieces_;
  progress.answer_tokens = answer_pieces_;
  return progress;
}

Work RemoteGeneration::work_left() const {
  Work work;
  work.unread = first_ ? 0 : static_cast<double>(prompt_tokens_);
  work.writing = {options_.action,
                  prompt_.kind == lsp::Prompt::Kind::chat,
                  {budget_, options_.max_tokens},
                  {thought_pieces_, answer_pieces_}};
  if (!text_.empty()) work.writing.max.thought = 0;
  return work;
}

void RemoteGeneration::teach(Estimates& estimates, const lsp::Answer& answer) const {
  using Seconds = std::chrono::duration<double>;
  const double read = Seconds(answer.prompt_time).count();
  const double wrote = Seconds(answer.answer_time).count();
  const auto unread = static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
  const bool chat = prompt_.kind == lsp::Prompt::Kind::chat;
  if (unread > 0 && read > 0) {
    estimates.read(unread, read, prompt_.kind == lsp::Prompt::Kind::fill_in_the_middle);
    estimates.passed(unread, static_cast<double>(answer.cached_tokens), read);
  }
  const std::optional<double> speed = estimates.decode_speed();
  const std::int64_t tokens = answer.thought_tokens + answer.answer_tokens;
  if (tokens > 1 && wrote > 0) estimates.wrote(static_cast<double>(tokens - 1), wrote);
  estimates.answered(
      {options_.action, chat, {answer.thought_tokens, answer.answer_tokens}, wrote, speed});
}

}  // namespace hearth::daemon
