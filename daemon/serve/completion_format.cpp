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

}  // namespace

CompletionFormat::CompletionFormat(std::string model, std::chrono::system_clock::time_point created,
                                   bool usage)
    : id_(unique_id("cmpl-")),
      model_(std::move(model)),
      created_(
          std::chrono::duration_cast<std::chrono::seconds>(created.time_since_epoch()).count()),
      usage_(usage) {}

json CompletionFormat::object(const std::string& text, json finish) const {
  return {{"id", id_},
          {"object", "text_completion"},
          {"created", created_},
          {"model", model_},
          {"choices", json::array({{{"index", 0},
                                    {"text", text},
                                    {"logprobs", nullptr},
                                    {"finish_reason", std::move(finish)}}})}};
}

AnswerFormat::Events CompletionFormat::text(const std::string& more) {
  if (more.empty()) return {};
  return {object(more, nullptr)};
}

AnswerFormat::Events CompletionFormat::progress(json prompt_progress) {
  json event = object("", nullptr);
  event["prompt_progress"] = std::move(prompt_progress);
  return {std::move(event)};
}

AnswerFormat::Events CompletionFormat::end(const lsp::Answer& answer) {
  Events events{object("", finish_name(answer.finish))};
  if (!usage_) return events;
  json last = object("", nullptr);
  last["choices"] = json::array();
  last["usage"] = usage_json(answer);
  events.push_back(std::move(last));
  return events;
}

json CompletionFormat::whole(const lsp::Answer& answer) {
  json result = object(answer.text, finish_name(answer.finish));
  result["usage"] = usage_json(answer);
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
