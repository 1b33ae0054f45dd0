// The hearth/* payloads as JSON.
#include "lsp/protocol/extension.hpp"

#include "lsp/protocol/json.hpp"

namespace hearth::lsp {
namespace {

constexpr std::array<std::string_view, 9> job_states{"queued",     "prefilling", "thinking",
                                                     "generating", "paused",     "waiting",
                                                     "done",       "failed",     "cancelled"};
constexpr std::array<std::string_view, 3> model_states{"loading", "ready", "failed"};

}  // namespace

std::string_view name(JobState state) {
  return enum_name(job_states, state);
}

JobState job_state_member(const Json& object, const char* member) {
  return enum_member<JobState>(job_states, object, member);
}

bool runs(JobState state) {
  return state <= JobState::generating;
}

bool ended(JobState state) {
  return state == JobState::done || state == JobState::failed || state == JobState::cancelled;
}

std::string_view name(ModelState state) {
  return enum_name(model_states, state);
}

namespace extension {
namespace {

template <typename Value>
void put(Json& json, const char* name, const std::optional<Value>& value) {
  if (value) json[name] = *value;
}

template <typename Value>
std::optional<Value> maybe(const Json& json, const char* name) {
  const Json* value = find(json, name);
  return value == nullptr ? std::nullopt : std::optional<Value>(value->get<Value>());
}

std::uint64_t id_member(const Json& json) {
  return static_cast<std::uint64_t>(integer_member(json, "id"));
}

}  // namespace

void to_json(Json& json, const JobStateParams& value) {
  json = {{"id", value.id},
          {"action", value.action},
          {"title", value.title},
          {"uri", value.uri},
          {"state", name(value.state)},
          {"message", value.message},
          {"percentage", value.percentage},
          {"promptTokens", value.prompt_tokens},
          {"cachedTokens", value.cached_tokens},
          {"thoughtTokens", value.thought_tokens},
          {"answerTokens", value.answer_tokens}};
  put(json, "range", value.range);
  put(json, "firstTokenMs", value.first_token_ms);
  put(json, "etaMs", value.eta_ms);
  put(json, "endMs", value.end_ms);
  put(json, "promptMs", value.prompt_ms);
  put(json, "answerMs", value.answer_ms);
  if (value.edits) json["edits"] = true;
  if (value.batch) {
    json["batch"] = {
        {"id", value.batch->id}, {"title", value.batch->title}, {"size", value.batch->size}};
  }
  put(json, "thought", value.thought);
  put(json, "text", value.text);
  put(json, "error", value.error);
  put(json, "by", value.by);
}

void from_json(const Json& json, JobStateParams& value) {
  value.id = id_member(json);
  value.action = string_member(json, "action");
  value.title = string_member(json, "title");
  value.edits = flag(json, {"edits"});
  if (const Json* batch = find(json, "batch")) {
    value.batch = JobStateParams::Batch{id_member(*batch), string_member(*batch, "title"),
                                        integer_member(*batch, "size")};
  }
  value.uri = string_member(json, "uri");
  value.range = maybe<Range>(json, "range");
  value.state = job_state_member(json, "state");
  value.message = string_member(json, "message");
  value.percentage = integer_member(json, "percentage");
  value.first_token_ms = maybe<std::int64_t>(json, "firstTokenMs");
  value.eta_ms = maybe<std::int64_t>(json, "etaMs");
  value.end_ms = maybe<std::array<std::int64_t, 2>>(json, "endMs");
  value.prompt_tokens = integer_member(json, "promptTokens");
  value.cached_tokens = integer_member(json, "cachedTokens");
  value.thought_tokens = integer_member(json, "thoughtTokens");
  value.answer_tokens = integer_member(json, "answerTokens");
  value.prompt_ms = maybe<std::int64_t>(json, "promptMs");
  value.answer_ms = maybe<std::int64_t>(json, "answerMs");
  value.thought = maybe<std::string>(json, "thought");
  value.text = maybe<std::string>(json, "text");
  value.error = maybe<std::string>(json, "error");
  value.by = maybe<std::string>(json, "by");
}

void to_json(Json& json, const ThoughtDelta& value) {
  json = {{"id", value.id}, {"text", value.text}};
}

void from_json(const Json& json, ThoughtDelta& value) {
  value = {id_member(json), string_member(json, "text")};
}

void to_json(Json& json, const TextDelta& value) {
  json = {{"id", value.id}, {"text", value.text}};
}

void from_json(const Json& json, TextDelta& value) {
  value = {id_member(json), string_member(json, "text")};
}

void to_json(Json& json, const CancelJobParams& value) {
  json = {{"id", value.id}};
}

void from_json(const Json& json, CancelJobParams& value) {
  value = {id_member(json)};
}

void to_json(Json& json, const CancelJobResult& value) {
  json = {{"cancelled", value.cancelled}};
}

void from_json(const Json& json, CancelJobResult& value) {
  value = {flag(json, {"cancelled"})};
}

void to_json(Json& json, const Status& value) {
  Json model{{"state", name(value.model_state)}};
  put(model, "name", value.model_name);
  put(model, "error", value.model_error);
  put(model, "percentage", value.model_percentage);
  put(model, "etaMs", value.model_eta_ms);
  if (!value.sent_to.empty()) model["sentTo"] = value.sent_to;
  json = {{"version", value.version},
          {"protocol", value.protocol},
          {"model", std::move(model)},
          {"jobs", value.jobs}};
  if (!value.notices.empty()) json["notices"] = value.notices;
}

void from_json(const Json& json, Status& value) {
  value.version = string_member(json, "version");
  value.protocol = integer_member(json, "protocol");
  const Json& model = member(json, "model");
  value.model_state = enum_member<ModelState>(model_states, model, "state");
  value.model_name = maybe<std::string>(model, "name");
  value.model_error = maybe<std::string>(model, "error");
  value.model_percentage = maybe<std::int64_t>(model, "percentage");
  value.model_eta_ms = maybe<std::int64_t>(model, "etaMs");
  value.notices.clear();
  if (json.contains("notices"))
    value.notices = array_member(json, "notices").get<std::vector<std::string>>();
  value.sent_to.clear();
  if (model.contains("sentTo"))
    value.sent_to = array_member(model, "sentTo").get<std::vector<std::string>>();
  value.jobs = array_member(json, "jobs").get<std::vector<JobStateParams>>();
}

void to_json(Json& json, const InlineCompletionReady& value) {
  json = {{"uri", value.uri}, {"version", value.version}, {"position", value.position}};
}

void from_json(const Json& json, InlineCompletionReady& value) {
  value = {string_member(json, "uri"), integer_member(json, "version"),
           position_member(json, "position")};
}

void to_json(Json& json, const CompletionDetail& value) {
  json = {{"reused", value.reused},
          {"promptTokens", value.prompt_tokens},
          {"cachedTokens", value.cached_tokens},
          {"answerTokens", value.answer_tokens},
          {"promptMs", value.prompt_ms},
          {"answerMs", value.answer_ms}};
  put(json, "by", value.by);
}

void from_json(const Json& json, CompletionDetail& value) {
  value.reused = flag(json, {"reused"});
  value.prompt_tokens = integer_member(json, "promptTokens");
  value.cached_tokens = integer_member(json, "cachedTokens");
  value.answer_tokens = integer_member(json, "answerTokens");
  value.prompt_ms = integer_member(json, "promptMs");
  value.answer_ms = integer_member(json, "answerMs");
  value.by = maybe<std::string>(json, "by");
}

}  // namespace extension
}  // namespace hearth::lsp
