// The list of jobs and their way through the model.
#include "lsp/jobs/jobs.hpp"

#include <algorithm>
#include <utility>

#include "lsp/protocol/json.hpp"
#include "lsp/protocol/prompt_json.hpp"
#include "lsp/support/host.hpp"

namespace hearth::lsp {
namespace {

constexpr std::ptrdiff_t remembered = 100;  // ended jobs

constexpr std::array<std::string_view, 3> priorities{"explicit_request", "inline_completion",
                                                     "background"};
constexpr std::array<std::string_view, 2> forms{"whole_code", "hunks"};
constexpr std::array<std::string_view, 2> samplings{"greedy", "recommended"};

JobState state_in(GenerationProgress::Phase phase) {
  switch (phase) {
    case GenerationProgress::Phase::loading:
    case GenerationProgress::Phase::queued:
      return JobState::queued;
    case GenerationProgress::Phase::prefilling:
      return JobState::prefilling;
    case GenerationProgress::Phase::thinking:
      return JobState::thinking;
    case GenerationProgress::Phase::generating:
      return JobState::generating;
  }
  return JobState::queued;
}

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
  options.thinking = flag(json, {"thinking"});
  options.thinking_budget = integer_member(json, "thinkingBudget");
  options.sampling = enum_member<Sampling>(samplings, json, "sampling");
  options.seed = static_cast<std::uint64_t>(integer_member(json, "seed"));
  for (const Json& text : array_member(json, "stopStrings")) {
    if (!text.is_string()) throw InvalidParams("\"stopStrings\" holds what is not a string");
    options.stop_strings.push_back(text.get<std::string>());
  }
  return options;
}

}  // namespace

void to_json(Json& json, const Request& request) {
  json = {{"action", request.action},
          {"title", request.title},
          {"prompt", request.prompt},
          {"options",
           {{"priority", enum_name(priorities, request.options.priority)},
            {"maxTokens", request.options.max_tokens},
            {"thinking", request.options.thinking},
            {"thinkingBudget", request.options.thinking_budget},
            {"sampling", enum_name(samplings, request.options.sampling)},
            {"seed", static_cast<std::int64_t>(request.options.seed)},
            {"stopStrings", request.options.stop_strings}}},
          {"targets", Json::array()},
          {"repairs", request.repairs}};
  if (request.form) json["form"] = enum_name(forms, *request.form);
  for (const ContextPiece& piece : request.left_out) json["leftOut"].push_back(piece);
  for (const Target& target : request.targets) json["targets"].push_back(target_json(target));
}

void from_json(const Json& json, Request& request) {
  request = {};
  request.action = string_member(json, "action");
  request.title = string_member(json, "title");
  request.prompt = member(json, "prompt").get<Prompt>();
  request.options = read_options(member(json, "options"));
  for (const Json& target : array_member(json, "targets")) {
    request.targets.push_back(read_target(target));
  }
  if (const Json* left_out = find(json, "leftOut")) left_out->get_to(request.left_out);
  if (find(json, "form") != nullptr) request.form = enum_member<AnswerForm>(forms, json, "form");
  request.repairs = flag(json, {"repairs"});
}

Jobs::Jobs(Host& host, Model& model, std::function<JobId()> next_id)
    : host_(host), model_(model), next_id_(std::move(next_id)) {
  if (!next_id_) next_id_ = [last = JobId{0}]() mutable { return ++last; };
}

Jobs::~Jobs() {
  for (const auto& [id, entry] : entries_) {
    if (!ended(entry.job.state) && entry.generation != 0) model_.cancel(entry.generation);
  }
}

JobId Jobs::start(Request request, Listener listener) {
  const JobId id = announce(request, GenerationProgress::Phase::queued, std::move(listener));
  submit(id, std::move(request));
  return id;
}

JobId Jobs::announce(Request request, GenerationProgress::Phase phase, Listener listener) {
  forget_oldest();
  const JobId id = next_id_();
  Entry& entry = entries_[id];
  entry.job.id = id;
  entry.job.request = std::move(request);
  entry.job.progress.phase = phase;
  entry.job.started = host_.now();
  entry.listener = std::move(listener);
  return id;
}

void Jobs::submit(JobId id, Request request) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  entry->job.request = std::move(request);
  entry->job.progress.phase = GenerationProgress::Phase::queued;
  GenerationEvents events;
  events.on_progress =
      lifetime_.guard([this, id](const GenerationProgress& progress) { progressed(id, progress); });
  events.on_text = lifetime_.guard([this, id](std::string text) { wrote(id, std::move(text)); });
  events.on_done =
      lifetime_.guard([this, id](Result<Answer> result) { finished(id, std::move(result)); });
  entry->generation =
      model_.generate(entry->job.request.prompt, entry->job.request.options, std::move(events));
}

void Jobs::fail(JobId id, std::string error) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  entry->job.error = valid_utf8(std::move(error));
  end(*entry, JobState::failed);
}

void Jobs::unsubscribe(JobId id) {
  if (Entry* entry = running(id)) entry->listener = nullptr;
  cancel(id);
}

void Jobs::cancel(JobId id) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  if (entry->generation != 0) {
    model_.cancel(entry->generation);  // finished() follows
  } else {
    end(*entry, JobState::cancelled);
  }
}

void Jobs::settle(JobId id, Settled settled) {
  const auto found = entries_.find(id);
  if (found != entries_.end()) found->second.job.settled = std::move(settled);
}

const Job* Jobs::find(JobId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second.job;
}

bool Jobs::is_any_running() const {
  return std::ranges::any_of(entries_, [](const auto& entry) { return !entry.second.job.ended; });
}

std::vector<const Job*> Jobs::all() const {
  std::vector<const Job*> jobs;
  jobs.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) jobs.push_back(&entry.job);
  return jobs;
}

Jobs::Entry* Jobs::running(JobId id) {
  const auto found = entries_.find(id);
  return found == entries_.end() || ended(found->second.job.state) ? nullptr : &found->second;
}

void Jobs::progressed(JobId id, const GenerationProgress& progress) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  entry->job.progress = progress;
  entry->job.state = state_in(progress.phase);
  if (entry->listener) entry->listener(entry->job, {});
}

void Jobs::wrote(JobId id, std::string text) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  text = valid_utf8(std::move(text));
  entry->job.state = JobState::generating;
  entry->job.progress.phase = GenerationProgress::Phase::generating;
  entry->job.text += text;
  if (entry->listener) entry->listener(entry->job, text);
}

void Jobs::finished(JobId id, Result<Answer> result) {
  Entry* entry = running(id);
  if (entry == nullptr) return;
  if (const auto* error = std::get_if<ModelError>(&result)) {
    entry->job.error = error->kind == ModelError::Kind::cancelled ? "" : valid_utf8(error->message);
    end(*entry,
        error->kind == ModelError::Kind::cancelled ? JobState::cancelled : JobState::failed);
    return;
  }
  const Answer& answer = std::get<Answer>(result);
  GenerationProgress& progress = entry->job.progress;
  progress.phase = GenerationProgress::Phase::generating;
  progress.prompt_tokens = answer.prompt_tokens;
  progress.cached_tokens = answer.cached_tokens;
  progress.prompt_done = static_cast<double>(answer.prompt_tokens);
  progress.thought_tokens = answer.thought_tokens;
  progress.answer_tokens = answer.answer_tokens;
  entry->job.finish = answer.finish;
  entry->job.thought_cut = answer.thought_cut;
  entry->job.text = valid_utf8(answer.text);
  entry->job.generated = answer.generated;
  entry->job.prompt_time = answer.prompt_time;
  entry->job.answer_time = answer.answer_time;
  end(*entry, JobState::done);
}

void Jobs::end(Entry& entry, JobState state) {
  entry.job.state = state;
  entry.job.progress.eta.reset();
  entry.job.ended = host_.now();
  if (const Listener last = std::exchange(entry.listener, nullptr)) last(entry.job, {});
}

void Jobs::forget_oldest() {
  auto count = std::count_if(entries_.begin(), entries_.end(),
                             [](const auto& entry) { return ended(entry.second.job.state); });
  for (auto entry = entries_.begin(); entry != entries_.end() && count >= remembered;) {
    if (!ended(entry->second.job.state)) {
      ++entry;
      continue;
    }
    entry = entries_.erase(entry);
    --count;
  }
}

}  // namespace hearth::lsp
