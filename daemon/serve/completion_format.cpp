// Objects of the two forms, and where a completion leaves its block.
#include "daemon/serve/completion_format.hpp"

#include <algorithm>
#include <utility>

#include "daemon/serve/chat_format.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

double per(double amount, double of) {
  return of > 0 ? amount / of : 0;
}

// How much of `text` is shown where lines behind the first have at least this indentation: up to
// the line break before one that has less. `certain`: more may follow, so what may yet become such
// a line is left.
std::size_t inside_block(const std::string& text, std::int64_t indent, bool more_follows,
                         bool& leaves) {
  leaves = false;
  for (std::size_t line = text.find('\n'); line != text.npos; line = text.find('\n', line + 1)) {
    const std::size_t begin = line + 1;
    const std::size_t first = text.find_first_not_of(" \t", begin);
    if (first == text.npos) return more_follows ? line : text.size();
    if (text[first] == '\n' || text[first] == '\r') continue;  // a blank line is in any block
    if (static_cast<std::int64_t>(first - begin) >= indent) continue;
    leaves = true;
    return line;
  }
  return text.size();
}

json no_probabilities() {
  return {{"tokens", json::array()},
          {"token_logprobs", json::array()},
          {"top_logprobs", json::array()},
          {"text_offset", json::array()}};
}

// Those that begin in it.
std::size_t characters_in(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

CompletionFormat::CompletionFormat(std::string model, std::chrono::system_clock::time_point created,
                                   bool usage)
    : id_(unique_id("cmpl-")),
      model_(std::move(model)),
      created_(
          std::chrono::duration_cast<std::chrono::seconds>(created.time_since_epoch()).count()),
      usage_(usage) {}

json CompletionFormat::object(json choices) const {
  return {{"id", id_},
          {"object", "text_completion"},
          {"created", created_},
          {"model", model_},
          {"choices", std::move(choices)}};
}

json CompletionFormat::choice(const std::string& text, json finish) {
  return json::array({{{"index", index_},
                       {"text", text},
                       {"logprobs", take_probabilities()},
                       {"finish_reason", std::move(finish)}}});
}

std::string CompletionFormat::prompt() const {
  return index_ < prompts_.size() ? prompts_[index_] : std::string();
}

void CompletionFormat::probabilities(std::vector<lsp::TokenProbability> told) {
  if (probabilities_.is_null()) probabilities_ = no_probabilities();
  for (const lsp::TokenProbability& each : told) {
    json top = json::object();
    for (const auto& [bytes, logprob] : each.top) top[bytes] = logprob;
    probabilities_["tokens"].push_back(each.bytes);
    probabilities_["token_logprobs"].push_back(each.logprob);
    probabilities_["top_logprobs"].push_back(std::move(top));
    probabilities_["text_offset"].push_back(offset_);
    offset_ += characters_in(each.bytes);
  }
}

json CompletionFormat::take_probabilities() {
  if (probabilities_.is_null() || probabilities_["tokens"].empty()) return nullptr;
  return std::exchange(probabilities_, no_probabilities());
}

// What all answers cost, with this one; the next choice is another.
lsp::Answer CompletionFormat::add(const lsp::Answer& answer) {
  sum_.prompt_tokens += answer.prompt_tokens;
  sum_.cached_tokens += answer.cached_tokens;
  sum_.thought_tokens += answer.thought_tokens;
  sum_.answer_tokens += answer.answer_tokens;
  ++index_;
  offset_ = 0;
  return sum_;
}

AnswerFormat::Events CompletionFormat::begin() {
  return text(prompt());
}

AnswerFormat::Events CompletionFormat::text(const std::string& more) {
  if (more.empty()) return {};
  return {object(choice(more, nullptr))};
}

AnswerFormat::Events CompletionFormat::progress(json prompt_progress) {
  json event = object(choice("", nullptr));
  event["prompt_progress"] = std::move(prompt_progress);
  return {std::move(event)};
}

AnswerFormat::Events CompletionFormat::next(const lsp::Answer& answer) {
  json ended = choice(prompt() + answer.text, finish_name(answer.finish));
  choices_.push_back(ended.front());
  ended.front()["text"] = "";  // which was said
  Events events{object(std::move(ended))};
  add(answer);
  for (json& event : begin()) events.push_back(std::move(event));
  return events;
}

AnswerFormat::Events CompletionFormat::end(const lsp::Answer& answer) {
  Events events{object(choice("", finish_name(answer.finish)))};
  if (!usage_) return events;
  json last = object(json::array());
  last["usage"] = usage_json(add(answer));
  events.push_back(std::move(last));
  return events;
}

json CompletionFormat::whole(const lsp::Answer& answer) {
  choices_.push_back(choice(prompt() + answer.text, finish_name(answer.finish)).front());
  json result = object(choices_);
  result["usage"] = usage_json(add(answer));
  return result;
}

json timings_json(const lsp::Answer& answer) {
  const auto read = static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
  const auto written = static_cast<double>(answer.thought_tokens + answer.answer_tokens);
  const auto read_ms = static_cast<double>(answer.prompt_time.count());
  const auto written_ms = static_cast<double>(answer.answer_time.count());
  return {{"cache_n", answer.cached_tokens},
          {"prompt_n", answer.prompt_tokens - answer.cached_tokens},
          {"prompt_ms", read_ms},
          {"prompt_per_token_ms", per(read_ms, read)},
          {"prompt_per_second", per(1000 * read, read_ms)},
          {"predicted_n", answer.thought_tokens + answer.answer_tokens},
          {"predicted_ms", written_ms},
          {"predicted_per_token_ms", per(written_ms, written)},
          {"predicted_per_second", per(1000 * written, written_ms)}};
}

InfillFormat::InfillFormat(std::string model, std::int64_t indent, std::vector<std::string> fields)
    : model_(std::move(model)), indent_(indent), fields_(std::move(fields)) {}

AnswerFormat::Events InfillFormat::text(const std::string& more) {
  if (complete_) return {};
  written_ += more;
  const std::size_t shown =
      indent_ > 0 ? inside_block(written_, indent_, true, complete_) : written_.size();
  if (shown <= shown_) return {};
  json event{{"index", 0}, {"content", written_.substr(shown_, shown - shown_)}, {"stop", false}};
  shown_ = shown;
  return {std::move(event)};
}

AnswerFormat::Events InfillFormat::progress(json prompt_progress) {
  return {{{"index", 0},
           {"content", ""},
           {"stop", false},
           {"prompt_progress", std::move(prompt_progress)}}};
}

json InfillFormat::result(const std::string& content, const lsp::Answer& answer) const {
  const bool limit = answer.finish != lsp::FinishReason::stop && !complete_;
  return {{"index", 0},
          {"content", content},
          {"id_slot", 0},
          {"stop", true},
          {"model", model_},
          {"tokens_predicted", answer.thought_tokens + answer.answer_tokens},
          {"tokens_evaluated", answer.prompt_tokens},
          {"tokens_cached", answer.cached_tokens},
          {"truncated", answer.finish == lsp::FinishReason::context_full},
          {"stop_type", limit ? "limit" : "eos"},
          {"stopping_word", ""},
          {"has_new_line", content.find('\n') != std::string::npos},
          {"timings", timings_json(answer)}};
}

// Members by their paths, each under the path as its name.
json InfillFormat::chosen(json result) const {
  if (fields_.empty()) return result;
  json picked = json::object();
  for (const std::string& path : fields_) {
    const json* at = &result;
    for (std::size_t begin = 0; at != nullptr && begin <= path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const auto found = at->is_object() ? at->find(path.substr(begin, end - begin)) : at->end();
      at = found == at->end() ? nullptr : &*found;
      begin = end + 1;
    }
    if (at != nullptr) picked[path] = *at;
  }
  return picked;
}

AnswerFormat::Events InfillFormat::end(const lsp::Answer& answer) {
  std::string rest;
  bool leaves = false;
  if (!complete_) {
    const std::size_t shown =
        indent_ > 0 ? inside_block(written_, indent_, false, leaves) : written_.size();
    rest = written_.substr(shown_, std::max(shown, shown_) - shown_);
  }
  return {chosen(result(rest, answer))};
}

json InfillFormat::whole(const lsp::Answer& answer) {
  bool leaves = false;
  const std::size_t shown =
      indent_ > 0 ? inside_block(answer.text, indent_, false, leaves) : answer.text.size();
  return chosen(result(answer.text.substr(0, shown), answer));
}

}  // namespace hearth::daemon
