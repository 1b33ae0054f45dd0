// From what was chosen to a job, and from a job to the next.
#include "lsp/actions/code_actions.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "lsp/context/pinned.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// Commands that are no action's, and their arguments.
constexpr std::string_view follow_up_command =
    "hearth.session.followUp";  // {"job": 7, "question": "…"}
constexpr std::string_view show_prompt_command = "hearth.session.showPrompt";  // {"job": 7}
constexpr std::string_view pin_command = "hearth.session.pin";  // {"uri": "…", "pinned": true}
constexpr std::string_view snooze_command = "hearth.session.snooze";  // {"minutes": 30}

constexpr std::array session_commands{follow_up_command, show_prompt_command, pin_command,
                                      snooze_command};

// The button that shows a file of secrets.
constexpr std::string_view show_once = "Show it once";

// Whether the prompt shows all of `code`: what was cut out of it would be missing in an answer.
bool shows_all(const Prompt& prompt, std::string_view code) {
  std::ptrdiff_t shown = 0;
  for (const Message& message : prompt.messages) {
    for (const Segment& segment : message.segments) {
      if (segment.provenance == Provenance::selection)
        shown += std::ranges::count(segment.text, '\n');
    }
  }
  return shown >= std::ranges::count(code, '\n');
}

}  // namespace

CodeActions::CodeActions(Session& session)
    : session_(session), menu_(session), prompt_document_(session) {
  Rpc& rpc = session.rpc;
  rpc.on_request("textDocument/codeAction",
                 [this](const Json& params, Reply& reply) { reply.result(menu_.list(params)); });
  rpc.on_request("workspace/executeCommand",
                 [this](const Json& params, Reply& reply) { execute(params, reply); });
  rpc.on_request("workspace/textDocumentContent", [this](const Json& params, Reply& reply) {
    const std::string uri = string_member(params, "uri");
    if (PromptDocument::is(uri)) return prompt_document_.content(AnswerView::job_of(uri), reply);
    reply.result({{"text", AnswerView::content(session_, uri)}});
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
  Json commands = Menu::commands();
  for (const std::string_view command : session_commands) commands.push_back(command);
  return commands;
}

void CodeActions::execute(const Json& params, Reply& reply) {
  const std::string command = string_member(params, "command");
  const Action* action = action_with_command(command);
  if (action == nullptr && std::ranges::find(session_commands, command) == session_commands.end())
    throw InvalidParams("there is no command " + command, "there is no such command");
  const Json& arguments = array_member(params, "arguments");
  if (arguments.empty()) throw InvalidParams("\"arguments\" is empty");
  const Json& first = arguments.front();
  if (action != nullptr) {
    choose(*action, first, reply);
  } else if (command == follow_up_command) {
    follow_up(first, reply);
  } else if (command == show_prompt_command) {
    show_prompt(first, reply);
  } else if (command == pin_command) {
    pin(first, reply);
  } else {
    snooze(first, reply);
  }
}

CodeActions::Choice CodeActions::read_choice(const Action& action, const Json& place) const {
  Choice choice{&action, {}, {}};
  if (action.about == About::diff) {
    choice.input.diff = valid_utf8(string_member(place, "diff"));
    choice.input.folders = session_.folders;
  } else {
    choice.range = range_member(place, "range");
    choice.input = task_input(
        session_,
        session_.documents.required(string_member(place, "uri"), Documents::Telling::always),
        choice.range, find(place, "diagnostics"));
  }
  if (find(place, "instruction") != nullptr)
    choice.input.instruction = valid_utf8(string_member(place, "instruction"));
  return choice;
}

void CodeActions::choose(const Action& action, const Json& place, Reply& reply) {
  const Choice choice = read_choice(action, place);
  const SnapshotPtr& snapshot = choice.input.snapshot;
  if (snapshot && find(place, "hash") != nullptr &&
      string_member(place, "hash") != selection_hash(choice.input)) {
    reply.error(error_code::request_failed,
                "the selected text has changed since: select it again and choose the action anew");
    return;
  }
  if (session_.settings.disabled_actions.contains(action.id)) {
    reply.error(error_code::request_failed,
                std::string(action.id) + " is switched off (actions.disabled)");
    return;
  }
  if (const Availability available = action.listed(choice.input); !available) {
    reply.error(error_code::request_failed, std::string(available.why_not));
    return;
  }
  if (snapshot && is_secret(snapshot->uri)) return ask_for_secret(choice, reply);
  reply.result(nullptr);
  run(choice);
}

// A file of secrets is shown to the model only after the person has said so, each time.
void CodeActions::ask_for_secret(const Choice& choice, Reply& reply) {
  const std::string name = display_path(choice.input.snapshot->uri, session_.folders);
  if (!session_.client.asks_person) {
    reply.error(error_code::request_failed,
                name + " looks like a file of secrets: it is not shown to the model");
    return;
  }
  reply.result(nullptr);
  session_.rpc.request("window/showMessageRequest",
                       {{"type", message_type::warning},
                        {"message", name + " looks like a file of secrets. Show it to the model?"},
                        {"actions", {{{"title", show_once}}, {{"title", "Cancel"}}}}},
                       lifetime_.guard([this, choice](const std::variant<Json, RpcError>& answer) {
                         const Json* chosen = std::get_if<Json>(&answer);
                         const Json* title = chosen != nullptr ? find(*chosen, "title") : nullptr;
                         if (title == nullptr || *title != show_once) return;
                         Choice allowed = choice;
                         allowed.input.secrets_allowed = true;
                         run(allowed);
                       }));
}

void CodeActions::run(const Choice& choice) {
  const Action& action = *choice.action;
  menu_.close();
  const TaskInput& input = choice.input;
  const bool selected = input.snapshot && !is_blank(input.snapshot->text->view(input.selection));
  Request request;
  request.action = action.id;
  request.title = selected ? action.title : action.title_here;
  request.options = options_for(session_, action, input.selection);
  if (input.snapshot) request.targets.push_back(target_of(*input.snapshot, input.selection));
  for (const std::string& secret : secret_files(input.diff)) tell_left_out(secret);
  if (action.answers == Answers::code) request.form = form_for(input.selection);
  const JobId id = show(std::move(request), choice.range);
  or_cancel(id, [&] {
    make_action_prompt(session_, action, input, session_.jobs.find(id)->request.options,
                       lifetime_.guard([this, id, choice](Result<Planned> planned) {
                         submit(id, choice, std::move(planned));
                       }));
  });
}

void CodeActions::tell_left_out(const std::string& path) {
  session_.rpc.notify("window/showMessage",
                      {{"type", message_type::info},
                       {"message", path + " looks like a file of secrets: its change is not shown "
                                          "to the model"}});
}

// A job that nothing would come of waits for ever.
void CodeActions::or_cancel(JobId id, const std::function<void()>& go_ahead) {
  try {
    go_ahead();
  } catch (...) {
    session_.jobs.cancel(id);
    throw;
  }
}

void CodeActions::submit(JobId id, const Choice& choice, Result<Planned> planned) {
  if (const auto* error = std::get_if<ModelError>(&planned)) {
    session_.jobs.fail(id, error->message);
    return;
  }
  if (session_.jobs.find(id) == nullptr) return;
  auto& [plan, prompt, left_out] = std::get<Planned>(planned);
  const Action& action = *choice.action;
  const SnapshotPtr& snapshot = choice.input.snapshot;
  Request request;
  request.action = action.id;
  request.title = std::string(action.verb) + " " + plan.subject();
  request.options = options_for(session_, action, plan.range());
  if (snapshot) request.targets.push_back(target_of(*snapshot, plan.range()));
  if (action.answers == Answers::code) {
    request.form = form_for(plan.range());
    if (!shows_all(prompt, snapshot->text->view(plan.range()))) {
      session_.jobs.fail(id, plan.subject() +
                                 " is longer than the model can be shown at once: select the part "
                                 "of it that is to change");
      return;
    }
  }
  request.prompt = std::move(prompt);
  request.left_out = std::move(left_out);
  session_.jobs.submit(id, std::move(request));
}

void CodeActions::follow_up(const Json& arguments, Reply& reply) {
  const auto id = static_cast<JobId>(integer_member(arguments, "job"));
  const std::string question = string_member(arguments, "question");
  const Job* job = session_.jobs.find(id);
  // Of other sessions' conversations nothing is told.
  const auto run = runs_.find(id);
  if (job == nullptr || run == runs_.end() || job->text.empty()) {
    reply.error(error_code::request_failed, "there is no such answer (any more) to go on from");
    return;
  }
  if (!ended(job->state)) {
    reply.error(error_code::request_failed, "the answer before is not whole yet");
    return;
  }
  if (is_blank(question)) {
    reply.error(error_code::request_failed, "the question is empty");
    return;
  }
  reply.result(nullptr);
  Request request;
  request.action = "ask";
  request.title = "Follow-up to " + job->request.title;
  ask_on(*job, question, std::move(request), run->second->range());
}

void CodeActions::show_prompt(const Json& arguments, Reply& reply) {
  const auto id = static_cast<JobId>(integer_member(arguments, "job"));
  if (!runs_.contains(id)) throw InvalidParams("there is no such job of this editor's (any more)");
  prompt_document_.show(id);
  reply.result(nullptr);
}

void CodeActions::pin(const Json& arguments, Reply& reply) {
  const std::string uri = string_member(arguments, "uri");
  std::erase(session_.pinned, uri);
  if (flag(arguments, {"pinned"})) {
    const std::string refusal =
        pin_refusal({uri, session_.documents.find(uri)}, session_.folders, session_.host);
    if (!refusal.empty()) return reply.error(error_code::request_failed, refusal);
    session_.pinned.push_back(uri);
  }
  reply.result({{"pinned", session_.pinned}});
}

void CodeActions::snooze(const Json& arguments, Reply& reply) {
  constexpr std::int64_t week = std::int64_t{7} * 24 * 60;
  const std::int64_t minutes = integer_member(arguments, "minutes");
  if (minutes < 0 || minutes > week) {
    reply.error(error_code::request_failed, "\"minutes\" is not from 0 to 10080, a week");
    return;
  }
  session_.snoozed_until = session_.host.now() + std::chrono::minutes(minutes);
  reply.result(nullptr);
}

void CodeActions::repair(const Job& job, const std::string& complaint) {
  Request request;
  request.action = job.request.action;
  request.title = job.request.title + ", second try";
  request.form = job.request.form;
  request.repairs = true;
  const auto run = runs_.find(job.id);
  ask_on(job, complaint, std::move(request), run != runs_.end() ? run->second->range() : Range{});
}

void CodeActions::ask_on(const Job& job, const std::string& question, Request request,
                         Range range) {
  menu_.close();
  request.options = job.request.options;
  request.targets = job.request.targets;
  request.prompt = job.request.prompt;
  request.prompt.messages.push_back(
      {Role::assistant, {{job.text, Provenance::answer, false}}, job.generated});
  request.prompt.messages.push_back({Role::user, {{question, Provenance::instruction, false}}, {}});
  const Request whole = request;
  const JobId id = show(std::move(request), range);
  or_cancel(id, [&] { session_.jobs.submit(id, whole); });
}

JobId CodeActions::show(Request request, Range range) {
  forget_settled();
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
    runs_[id] = std::make_unique<JobView>(
        session_, *session_.jobs.find(id), range,
        [this](const Job& job, const std::string& complaint) { repair(job, complaint); });
  } catch (...) {
    // Nobody else knows of the job: it would wait for ever, and tell a session that is gone.
    session_.jobs.unsubscribe(id);
    session_.jobs.cancel(id);
    throw;
  }
  return id;
}

// Called before a run is added, so that what is shown stays small in a session of weeks. A
// conversation goes on from the last ones.
void CodeActions::forget_settled() {
  constexpr std::size_t remembered = 20;
  for (auto run = runs_.begin(); run != runs_.end() && runs_.size() > remembered;) {
    run = run->second->settled() ? runs_.erase(run) : std::next(run);
  }
}

}  // namespace hearth::lsp
