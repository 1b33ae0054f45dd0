// Jobs as JSON, member by member.
#include "lsp/jobs/journal.hpp"

#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/protocol/prompt_json.hpp"

namespace hearth::lsp {
namespace {

constexpr std::array<std::string_view, 3> priorities{"explicit_request", "inline_completion",
                                                     "background"};
constexpr std::array<std::string_view, 2> forms{"whole_code", "hunks"};
constexpr std::array<std::string_view, 2> samplings{"greedy", "recommended"};

constexpr std::array<std::string_view, 3> endings{"stop", "length", "context_full"};

Json target_json(const Target& target) {
  return {{"uri", target.uri},
          {"version", target.version},
          {"begin", target.range.begin.value},
          {"end", target.range.end.value},
          {"text", target.text},
          {"before", target.before},
          {"after", target.after}};
}

Target read_target(const Json& json) {
  const auto offset = [&](const char* name) {
    return Byte{static_cast<std::size_t>(integer_member(json, name))};
  };
  return {string_member(json, "uri"),
          integer_member(json, "version"),
          ByteRange{offset("begin"), offset("end")},
          string_member(json, "text"),
          string_member(json, "before"),
          string_member(json, "after")};
}

GenerateOptions read_options(const Json& json) {
  GenerateOptions options;
  options.priority = enum_member<Priority>(priorities, json, "priority");
  options.max_tokens = integer_member(json, "maxTokens");
  if (find(json, "thinking") != nullptr) options.thinking = flag(json, {"thinking"});
  options.thinking_budget = integer_member(json, "thinkingBudget");
  options.sampling = enum_member<Sampling>(samplings, json, "sampling");
  options.action = string_member(json, "action");
  options.seed = static_cast<std::uint64_t>(integer_member(json, "seed"));
  for (const Json& text : array_member(json, "stopStrings")) {
    if (!text.is_string()) throw InvalidParams("\"stopStrings\" holds what is not a string");
    options.stop_strings.push_back(text.get<std::string>());
  }
  return options;
}

Json sent_json(const SentEdit& edit) {
  return {{"uri", edit.uri},           {"before", edit.before}, {"removed", edit.removed},
          {"inserted", edit.inserted}, {"after", edit.after},   {"creates", edit.creates}};
}

SentEdit read_sent(const Json& json) {
  return {string_member(json, "uri"),     string_member(json, "before"),
          string_member(json, "removed"), string_member(json, "inserted"),
          string_member(json, "after"),   flag(json, {"creates"})};
}

std::int64_t milliseconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::chrono::milliseconds time_member(const Json& json, const char* name) {
  return std::chrono::milliseconds(integer_member(json, name));
}

}  // namespace

void to_json(Json& json, const Request& request) {
  json = {{"action", request.action},
          {"title", request.title},
          {"prompt", request.prompt},
          {"options",
           {{"priority", enum_name(priorities, request.options.priority)},
            {"maxTokens", request.options.max_tokens},
            {"thinkingBudget", request.options.thinking_budget},
            {"sampling", enum_name(samplings, request.options.sampling)},
            {"action", request.options.action},
            {"seed", static_cast<std::int64_t>(request.options.seed)},
            {"stopStrings", request.options.stop_strings}}},
          {"targets", Json::array()},
          {"repairs", request.repairs},
          {"review", request.review}};
  if (request.options.thinking) json["options"]["thinking"] = *request.options.thinking;
  if (!request.place.empty()) json["place"] = request.place;
  if (!request.new_files_in.empty()) json["newFilesIn"] = request.new_files_in;
  if (request.batch) {
    json["batch"] = {
        {"id", request.batch->id}, {"title", request.batch->title}, {"size", request.batch->size}};
  }
  if (request.form) json["form"] = enum_name(forms, *request.form);
  for (const ContextPiece& piece : request.left_out) json["leftOut"].push_back(piece);
  for (const Target& target : request.targets) json["targets"].push_back(target_json(target));
}

void from_json(const Json& json, Request& request) {
  request = {};
  request.action = string_member(json, "action");
  request.title = string_member(json, "title");
  if (find(json, "place") != nullptr) request.place = string_member(json, "place");
  if (find(json, "newFilesIn") != nullptr) request.new_files_in = string_member(json, "newFilesIn");
  request.prompt = member(json, "prompt").get<Prompt>();
  request.options = read_options(member(json, "options"));
  for (const Json& target : array_member(json, "targets")) {
    request.targets.push_back(read_target(target));
  }
  if (const Json* left_out = find(json, "leftOut")) left_out->get_to(request.left_out);
  if (find(json, "form") != nullptr) request.form = enum_member<AnswerForm>(forms, json, "form");
  request.repairs = flag(json, {"repairs"});
  request.review = flag(json, {"review"});
  if (const Json* batch = find(json, "batch")) {
    request.batch = Batch{static_cast<JobId>(integer_member(*batch, "id")),
                          string_member(*batch, "title"), integer_member(*batch, "size")};
  }
}

std::string request_text(const Request& request) {
  return dump(request);
}

std::string standing_text(const Job& job) {
  const GenerationProgress& progress = job.progress;
  Json json{{"state", name(job.state)},
            {"editor", job.origin.editor},
            {"model", job.model},
            {"changed", milliseconds_of(job.changed)},
            {"promptTokens", progress.prompt_tokens},
            {"cachedTokens", progress.cached_tokens},
            {"thoughtTokens", progress.thought_tokens},
            {"answerTokens", progress.answer_tokens},
            {"finish", enum_name(endings, job.finish)},
            {"thoughtCut", job.thought_cut},
            {"promptMs", job.prompt_time.count()},
            {"answerMs", job.answer_time.count()},
            {"error", job.error},
            {"sent", Json::array()},
            {"shown", job.shown}};
  if (!job.thought.empty()) json["thought"] = job.thought;
  if (!job.by.empty()) json["by"] = job.by;
  for (const SentEdit& edit : job.sent) json["sent"].push_back(sent_json(edit));
  if (job.settled) json["settled"] = {{"read", job.settled->text.has_value()}};
  if (job.settled && job.settled->text) json["settled"]["text"] = *job.settled->text;
  return dump(json);
}

JobRecord record_of(const Job& job) {
  return {
      job.id,   job.origin.workspace, job.created, request_text(job.request), standing_text(job),
      job.text, job.generated};
}

Job read_record(JobRecord record) {
  Job job;
  job.id = record.id;
  job.origin.workspace = std::move(record.workspace);
  job.created = record.created;
  parse_json(std::move(record.request)).get_to(job.request);
  job.text = std::move(record.text);
  job.generated = std::move(record.tokens);

  const Json json = parse_json(std::move(record.standing));
  job.state = job_state_member(json, "state");
  job.origin.editor = string_member(json, "editor");
  job.model = string_member(json, "model");
  job.changed = std::chrono::system_clock::time_point(time_member(json, "changed"));
  GenerationProgress& progress = job.progress;
  progress.prompt_tokens = integer_member(json, "promptTokens");
  progress.cached_tokens = integer_member(json, "cachedTokens");
  progress.thought_tokens = integer_member(json, "thoughtTokens");
  progress.answer_tokens = integer_member(json, "answerTokens");
  job.finish = enum_member<FinishReason>(endings, json, "finish");
  job.thought_cut = flag(json, {"thoughtCut"});
  if (find(json, "thought") != nullptr) job.thought = string_member(json, "thought");
  if (find(json, "by") != nullptr) job.by = string_member(json, "by");
  job.prompt_time = time_member(json, "promptMs");
  job.answer_time = time_member(json, "answerMs");
  job.error = string_member(json, "error");
  for (const Json& edit : array_member(json, "sent")) job.sent.push_back(read_sent(edit));
  job.shown = flag(json, {"shown"});
  if (const Json* settled = find(json, "settled")) {
    job.settled.emplace();
    if (flag(*settled, {"read"})) job.settled->text = string_member(*settled, "text");
  }
  return job;
}

}  // namespace hearth::lsp
