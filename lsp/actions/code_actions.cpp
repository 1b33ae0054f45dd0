// From the editor's menu to a job.
#include "lsp/actions/code_actions.hpp"

#include <algorithm>
#include <utility>

#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

// As text: JSON numbers of many clients are doubles.
std::string hash_text(std::uint64_t hash) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += digits[(hash >> shift) & 15U];
  return text;
}

// "hearth" and "" ask for "hearth.explain" too.
bool wanted(const Json& context, std::string_view kind) {
  const Json* only = find(context, "only");
  if (only == nullptr || !only->is_array()) return true;
  for (const Json& entry : *only) {
    if (!entry.is_string()) continue;
    const auto prefix = entry.get<std::string>();
    if (!kind.starts_with(prefix)) continue;
    if (prefix.empty() || kind.size() == prefix.size() || kind[prefix.size()] == '.') return true;
  }
  return false;
}

// What the context is to leave to an answer. A thought has up to a quarter of a small context: it
// can be cut, but without code before it there is nothing to think about.
std::int64_t tokens_to_write(const GenerateOptions& options, const ModelProfile& profile) {
  if (!profile.thinking) return options.max_tokens;
  return options.max_tokens + std::min(options.thinking_budget, profile.context_tokens / 4);
}

}  // namespace

CodeActions::CodeActions(Session& session) : session_(session) {
  Rpc& rpc = session.rpc;
  rpc.on_request("textDocument/codeAction",
                 [this](const Json& params, Reply& reply) { reply.result(list(params)); });
  rpc.on_request("workspace/executeCommand",
                 [this](const Json& params, Reply& reply) { execute(params, reply); });
  rpc.on_request("workspace/textDocumentContent", [this](const Json& params, Reply& reply) {
    reply.result({{"text", AnswerView::content(session_, string_member(params, "uri"))}});
  });
  rpc.on_notification("window/workDoneProgress/cancel", [this](const Json& params) {
    session_.jobs.cancel(WorkProgress::job_of(member(params, "token")));
  });
  rpc.on_request(std::string(extension::CancelJobParams::method),
                 [this](const Json& params, Reply& reply) {
                   const auto id = params.get<extension::CancelJobParams>().id;
                   const Job* job = session_.jobs.find(id);
                   const bool runs = job != nullptr && !ended(job->state);
                   reply.result(extension::CancelJobResult{runs});
                   session_.jobs.cancel(id);
                 });
}

CodeActions::~CodeActions() {
  for (const auto& [id, view] : runs_) {
    view->close();
    session_.jobs.unsubscribe(id);
  }
}

Json CodeActions::commands() {
  Json commands = Json::array();
  for (const Action* action : actions()) commands.push_back(command_of(*action));
  return commands;
}

Json CodeActions::kinds() {
  Json kinds = Json::array();
  for (const Action* action : actions()) kinds.push_back(action->kind);
  return kinds;
}

TaskInput CodeActions::input(SnapshotPtr snapshot, const Range& range,
                             const Json* diagnostics) const {
  const Encoding encoding = session_.documents.encoding();
  const Text& text = *snapshot->text;
  TaskInput input;
  input.selection = text.bytes(range, encoding);
  input.diagnostics = read_diagnostics(diagnostics, text, encoding);
  input.snapshot = std::move(snapshot);
  input.syntax = session_.syntax;
  input.folders = session_.folders;
  return input;
}

Json CodeActions::list(const Json& params) const {
  SnapshotPtr snapshot = session_.documents.required(document_uri(params));
  const Range range = range_member(params, "range");
  const Json& context = member(params, "context");
  const TaskInput here = input(std::move(snapshot), range, find(context, "diagnostics"));
  const Json* trigger = find(context, "triggerKind");
  const bool automatic = trigger != nullptr && *trigger == code_action_trigger::automatic;

  Json listed = Json::array();
  for (const Action* action : actions()) {
    if (!wanted(context, action->kind)) continue;
    const Availability available = action->listed(here);
    if (available) {
      listed.push_back(code_action(*action, here, params));
      continue;
    }
    // Only a menu that a person opened says why something cannot be chosen.
    if (automatic || !session_.client.disabled_actions || !session_.client.code_action_literals) {
      continue;
    }
    listed.push_back({{"title", action->title},
                      {"kind", action->kind},
                      {"disabled", {{"reason", available.why_not}}}});
  }
  return listed;
}

// `params` are those of the request that lists it.
Json CodeActions::code_action(const Action& action, const TaskInput& input,
                              const Json& params) const {
  const Snapshot& snapshot = *input.snapshot;
  Json place{{"uri", snapshot.uri},
             {"version", snapshot.version},
             {"range", params["range"]},
             {"hash", hash_text(content_hash(snapshot.text->view(input.selection)))}};
  // executeCommand brings nothing but its arguments.
  if (!input.diagnostics.empty()) place["diagnostics"] = params["context"]["diagnostics"];
  Json command{{"title", action.title},
               {"command", command_of(action)},
               {"arguments", Json::array({std::move(place)})}};
  if (!session_.client.code_action_literals) return command;
  Json listed{{"title", action.title}, {"kind", action.kind}, {"command", std::move(command)}};
  if (session_.client.action_tags) listed["tags"] = {code_action_tag::llm_generated};
  return listed;
}

void CodeActions::execute(const Json& params, Reply& reply) {
  const std::string command = string_member(params, "command");
  const Action* action = action_with_command(command);
  if (action == nullptr) {
    throw InvalidParams("there is no command " + command, "there is no such command");
  }
  const Json& arguments = array_member(params, "arguments");
  if (arguments.empty()) throw InvalidParams("\"arguments\" is empty");
  const Json& place = arguments.front();
  const Range range = range_member(place, "range");
  Choice choice{
      action,
      input(session_.documents.required(string_member(place, "uri"), Documents::Telling::always),
            range, find(place, "diagnostics")),
      range};
  if (find(place, "instruction") != nullptr)
    choice.input.instruction = string_member(place, "instruction");
  const auto now =
      hash_text(content_hash(choice.input.snapshot->text->view(choice.input.selection)));
  if (find(place, "hash") != nullptr && string_member(place, "hash") != now) {
    reply.error(error_code::request_failed,
                "the selected text has changed since: select it again and choose the action anew");
    return;
  }
  if (const Availability available = action->listed(choice.input); !available) {
    reply.error(error_code::request_failed, std::string(available.why_not));
    return;
  }
  reply.result(nullptr);
  run(choice);
}

void CodeActions::run(const Choice& choice) {
  forget_settled();
  const SnapshotPtr& snapshot = choice.input.snapshot;
  Request request;
  request.action = choice.action->id;
  request.title = choice.action->title;
  request.options = generate_options();
  request.targets.push_back(target_of(*snapshot, choice.input.selection));
  using Phase = GenerationProgress::Phase;
  const bool loading = session_.model_state == ModelState::loading;
  const JobId id = session_.jobs.announce(
      std::move(request), loading ? Phase::loading : Phase::queued,
      [this](const Job& job, std::string_view delta) {
        if (job.state == JobState::done) {
          session_.token_counts->learn(bytes_of(job.request.prompt), job.progress.prompt_tokens);
        }
        const auto run = runs_.find(job.id);
        if (run != runs_.end()) run->second->update(job, delta);
      });
  try {
    runs_[id] = std::make_unique<JobView>(session_, *session_.jobs.find(id), choice.range);
    begin_prompt(id, choice);
  } catch (...) {
    // Nobody else knows of the job: it would wait for ever, and tell a session that is gone.
    if (!runs_.contains(id)) session_.jobs.unsubscribe(id);
    session_.jobs.cancel(id);
    throw;
  }
}

void CodeActions::begin_prompt(JobId id, const Choice& choice) {
  make_prompt(
      session_.host, session_.model, session_.token_counts,
      [action = choice.action, input = choice.input, options = generate_options(),
       user_wording = session_.options.user_wording](ModelProfile profile) mutable {
        const std::string name(action->id);
        if (auto wording = user_wording ? user_wording(name) : std::nullopt) {
          profile.wordings[name] = std::move(*wording);
        }
        input.answer_tokens = tokens_to_write(options, profile);
        return action->plan(input, profile);
      },
      lifetime_.guard([this, id, snapshot = choice.input.snapshot](Result<Planned> planned) {
        submit(id, snapshot, std::move(planned));
      }));
}

void CodeActions::submit(JobId id, const SnapshotPtr& snapshot, Result<Planned> planned) {
  if (const auto* error = std::get_if<ModelError>(&planned)) {
    session_.jobs.fail(id, error->message);
    return;
  }
  const Job* job = session_.jobs.find(id);
  if (job == nullptr) return;
  auto& [plan, prompt] = std::get<Planned>(planned);
  Request request;
  request.action = job->request.action;
  request.title = std::string(action_with_id(request.action)->verb) + " " + plan.subject();
  request.prompt = std::move(prompt);
  request.options = generate_options();
  request.targets.push_back(target_of(*snapshot, plan.range()));
  session_.jobs.submit(id, std::move(request));
}

GenerateOptions CodeActions::generate_options() const {
  GenerateOptions options;
  options.max_tokens = session_.options.answer_max_tokens;
  options.thinking_budget = session_.options.thinking_budget;
  options.sampling = Sampling::recommended;
  return options;
}

// Called before a run is added, so that what is shown stays small in a session of weeks.
void CodeActions::forget_settled() {
  std::erase_if(runs_, [](const auto& entry) { return entry.second->settled(); });
}

}  // namespace hearth::lsp
