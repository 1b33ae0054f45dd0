// From what was chosen to a job, and from a job to the next.
#include "lsp/actions/code_actions.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <variant>

#include "lsp/actions/attached.hpp"
#include "lsp/actions/planned_request.hpp"
#include "lsp/actions/team_prompts.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"
#include "lsp/support/failure.hpp"
#include "lsp/support/prompt_trust.hpp"

namespace hearth::lsp {
namespace {

// Commands that are neither an action's nor about a job, and their arguments.
constexpr std::string_view show_prompt_command = "hearth.session.showPrompt";  // {"job": 7}
constexpr std::string_view pin_command = "hearth.session.pin";  // {"uri": "…", "pinned": true}
constexpr std::string_view snooze_command = "hearth.session.snooze";  // {"minutes": 30}
// {}: {"folders": [{"folder": "file:…", "hash": "…", "confirmed": "…", "prompts": [{"name": "…",
// "path": "…", "action": "ask", "title": "…", "text": "…"}…], "ignored": ["…"…]}…]}, whose hash was
// confirmed last, and which files are not used and why. A wording of an action has no title.
constexpr std::string_view team_prompts_command = "hearth.session.teamPrompts";
// {"folder": "file:…", "hash": "…"}: a person has seen what has this hash, and wants it. An empty
// hash: they want none of the folder's any more.
constexpr std::string_view use_team_prompts_command = "hearth.session.useTeamPrompts";

constexpr std::array session_commands{show_prompt_command, pin_command, snooze_command,
                                      team_prompts_command, use_team_prompts_command};

constexpr std::string_view changed_since =
    "the selected text has changed since: select it again and choose the action anew";

// The button that shows a file of secrets.
constexpr std::string_view show_once = "Show it once";

}  // namespace

CodeActions::CodeActions(Session& session)
    : session_(session),
      menu_(session),
      prompt_document_(session),
      jobs_(session, [this](const Job& job) { plan_again(job); }),
      batches_(session, jobs_) {
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
    for (const JobId id : session_.jobs.members(WorkProgress::id_of(member(params, "token")))) {
      if (jobs_.may_cancel(id)) session_.jobs.cancel(id);
    }
  });
  rpc.on_request(std::string(extension::CancelJobParams::method),
                 [this](const Json& params, Reply& reply) {
                   const auto id = params.get<extension::CancelJobParams>().id;
                   const bool runs = jobs_.may_cancel(id);
                   reply.result(extension::CancelJobResult{runs});
                   if (runs) session_.jobs.cancel(id);
                 });
}

Json CodeActions::commands() {
  Json commands = Menu::commands();
  for (const std::string_view command : session_commands) commands.push_back(command);
  for (const Json& command : SessionJobs::commands()) commands.push_back(command);
  commands.push_back(BatchRun::command);
  return commands;
}

void CodeActions::execute(const Json& params, Reply& reply) {
  const std::string command = string_member(params, "command");
  const Action* action = action_with_command(command);
  const bool known = action != nullptr || command == BatchRun::command ||
                     SessionJobs::has(command) ||
                     std::ranges::find(session_commands, command) != session_commands.end();
  if (!known) throw InvalidParams("there is no command " + command, "there is no such command");
  const Json& arguments = array_member(params, "arguments");
  if (arguments.empty()) throw InvalidParams("\"arguments\" is empty");
  const Json& first = arguments.front();
  if (action != nullptr) {
    choose(*action, first, reply);
  } else if (command == show_prompt_command) {
    show_prompt(first, reply);
  } else if (command == pin_command) {
    pin(first, reply);
  } else if (command == snooze_command) {
    snooze(first, reply);
  } else if (command == team_prompts_command) {
    list_team_prompts(reply);
  } else if (command == use_team_prompts_command) {
    use_team_prompts(first, reply);
  } else if (command == BatchRun::command) {
    batches_.run(first, reply);
  } else {
    menu_.close();
    jobs_.execute(command, first, reply);
  }
}

CodeActions::Choice CodeActions::read_choice(const Action& action, const Json& place) const {
  Choice choice{&action, {}, {}, place, attached_files(session_, place)};
  if (action.about == About::diff) {
    choice.input.diff = valid_utf8(string_member(place, "diff"));
    choice.input.folders = session_.folders;
  } else if (action.about == About::words) {
    choice.input.folders = session_.folders;
  } else {
    choice.range = range_member(place, "range");
    choice.input = task_input(
        session_,
        session_.documents.required(string_member(place, "uri"), Documents::Telling::always),
        choice.range, find(place, "diagnostics"));
  }
  if (const Json* const prompt = find(place, "prompt")) {
    choice.own = string_member(*prompt, "name");
    choice.title = shortened(valid_utf8(string_member(*prompt, "title")));
    // What it asks for is in its own words.
    if (choice.input.instruction.empty()) choice.input.instruction = choice.title;
  }
  if (find(place, "instruction") != nullptr)
    choice.input.instruction = valid_utf8(string_member(place, "instruction"));
  if (choice.input.snapshot && find(place, "hash") == nullptr)
    choice.place["hash"] = selection_hash(choice.input);
  return choice;
}

void CodeActions::choose(const Action& action, const Json& place, Reply& reply) {
  const Choice choice = read_choice(action, place);
  const SnapshotPtr& snapshot = choice.input.snapshot;
  if (has_changed(choice)) {
    reply.error(error_code::request_failed, std::string(changed_since));
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
  run(choice, [kept = std::make_shared<Reply>(std::move(reply))] { kept->result(nullptr); });
}

// A file of secrets is shown to the model only after the person has said so, each time. A client
// that shows jobs is told where they do not; any other might show no question while it waits.
void CodeActions::ask_for_secret(const Choice& choice, Reply& reply) {
  const std::string name = display_path(choice.input.snapshot->uri, session_.folders);
  if (!session_.client.asks_person) {
    reply.error(error_code::request_failed,
                name + " looks like a file of secrets: it is not shown to the model");
    return;
  }
  std::shared_ptr<Reply> later;
  if (session_.client.has(extension::feature_jobs)) {
    later = std::make_shared<Reply>(std::move(reply));
  } else {
    reply.result(nullptr);
  }
  session_.rpc.request("window/showMessageRequest",
                       {{"type", message_type::warning},
                        {"message", name + " looks like a file of secrets. Show it to the model?"},
                        {"actions", {{{"title", show_once}}, {{"title", "Cancel"}}}}},
                       lifetime_.guard([this, choice, name, later](const auto& answer) {
                         const Json* chosen = std::get_if<Json>(&answer);
                         const Json* title = chosen != nullptr ? find(*chosen, "title") : nullptr;
                         if (title == nullptr || *title != show_once) {
                           if (later)
                             later->result({{"declined", name + " was not shown to the model"}});
                           return;
                         }
                         Choice allowed = choice;
                         allowed.input.secrets_allowed = true;
                         run(allowed, [later] {
                           if (later) later->result(nullptr);
                         });
                       }));
}

void CodeActions::run(const Choice& choice, std::function<void()> begun) {
  const Action& action = *choice.action;
  menu_.close();
  const TaskInput& input = choice.input;
  const bool selected = input.snapshot && !is_blank(input.snapshot->text->view(input.selection));
  Request request;
  request.action = action.id;
  request.title = !choice.own.empty() ? std::string_view(choice.title)
                  : selected          ? action.title
                                      : action.title_here;
  request.options = options_for(session_, action, input.selection);
  if (input.snapshot) request.targets.push_back(target_of(*input.snapshot, input.selection));
  if (action.answers == Answers::code) request.form = form_for(input.selection);
  request.review = flag(choice.place, {"review"});
  request.place = choice.place.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string uri = input.snapshot ? input.snapshot->uri : std::string();
  const JobId id = jobs_.begin(std::move(request), uri, choice.range);
  try {
    plan(id, choice);
    jobs_.show_begun(id, [this, begun = std::move(begun), secrets = secret_files(input.diff)] {
      if (begun) begun();
      for (const std::string& secret : secrets) tell_left_out(secret);
    });
  } catch (...) {
    jobs_.abandon(id);
    throw;
  }
}

// Files that may change are read once, so that what the model is shown is what its answer is merged
// with.
void CodeActions::plan(JobId id, const Choice& choice) {
  if (choice.attached.empty() || choice.action->answers != Answers::code)
    return make_prompt(id, choice);
  const auto whole = std::make_shared<Choice>(choice);
  session_.host.background(
      [whole, &host = session_.host, folders = session_.folders] {
        const std::string& uri = whole->input.snapshot->uri;
        whole->attached = also_changed(std::move(whole->attached), uri, folders, host);
      },
      lifetime_.guard([this, id, whole] {
        if (session_.jobs.find(id) != nullptr) make_prompt(id, *whole);
      }));
}

void CodeActions::make_prompt(JobId id, const Choice& choice) {
  make_action_prompt(session_, *choice.action, choice.input,
                     session_.jobs.find(id)->request.options,
                     lifetime_.guard([this, id, choice](Result<Planned> planned) {
                       submit(id, choice, std::move(planned));
                     }),
                     choice.attached, choice.own);
}

// What another session chose.
void CodeActions::plan_again(const Job& job) {
  const Action* const action = action_with_id(job.request.action);
  if (action == nullptr) throw InvalidParams("there is no such action (any more)");
  if (job.request.batch) return batches_.plan(job);
  const Choice choice = read_choice(*action, parse_json(std::string(job.request.place)));
  if (has_changed(choice)) throw InvalidParams(std::string(changed_since));
  if (choice.input.snapshot && is_secret(choice.input.snapshot->uri))
    throw InvalidParams(
        "what looks like a file of secrets is shown to the model only where a "
        "person has just said so: choose the action anew");
  plan(job.id, choice);
}

bool CodeActions::has_changed(const Choice& choice) const {
  return choice.input.snapshot &&
         string_member(choice.place, "hash") != selection_hash(choice.input);
}

void CodeActions::tell_left_out(const std::string& path) {
  session_.rpc.notify("window/showMessage",
                      {{"type", message_type::info},
                       {"message", path + " looks like a file of secrets: its change is not shown "
                                          "to the model"}});
}

void CodeActions::submit(JobId id, const Choice& choice, Result<Planned> planned) {
  if (const auto* error = std::get_if<ModelError>(&planned)) {
    session_.jobs.fail(id, error->message);
    return;
  }
  const bool changes = choice.action->answers == Answers::code;
  const std::string subject = std::get<Planned>(planned).plan.subject();
  auto request = planned_request(session_, *choice.action, choice.input.snapshot,
                                 std::get<Planned>(std::move(planned)),
                                 changes ? choice.attached : std::vector<PinnedFile>());
  if (const auto* refusal = std::get_if<std::string>(&request)) {
    session_.jobs.fail(id, *refusal);
  } else {
    auto& whole = std::get<Request>(request);
    whole.review = flag(choice.place, {"review"});
    if (!choice.own.empty()) whole.title = choice.title + ": " + subject;
    if (is_in_team_words(whole.prompt)) whole.title += " (the team's words)";
    session_.jobs.submit(id, std::move(whole));
  }
}

void CodeActions::show_prompt(const Json& arguments, Reply& reply) {
  const auto id = static_cast<JobId>(integer_member(arguments, "job"));
  if (!jobs_.shows(id)) throw InvalidParams("there is no such job of this editor's (any more)");
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

void CodeActions::list_team_prompts(Reply& reply) {
  const PromptTrust* const trust = session_.options.prompt_trust;
  const auto folders = std::make_shared<Json>(Json::array());
  if (trust == nullptr) return reply.result({{"folders", *folders}});
  const auto kept = std::make_shared<Reply>(std::move(reply));
  session_.host.background(
      [folders, trust, names = session_.folders, &host = session_.host] {
        for (const std::string& folder : names) {
          const TeamPrompts found = read_team_prompts(folder, host);
          folders->push_back(to_json(found, trust->confirmed(found.root)));
        }
      },
      lifetime_.guard([folders, kept] {
        kept->result({{"folders", std::move(*folders)}});
      }));
}

void CodeActions::use_team_prompts(const Json& arguments, Reply& reply) {
  PromptTrust* const trust = session_.options.prompt_trust;
  const std::string folder = string_member(arguments, "folder");
  const std::string hash = string_member(arguments, "hash");
  if (trust == nullptr || std::ranges::find(session_.folders, folder) == session_.folders.end())
    throw InvalidParams("\"folder\" is none of the workspace's");
  const auto kept = std::make_shared<Reply>(std::move(reply));
  const auto refusal = std::make_shared<std::string>();
  session_.host.background(
      [folder, hash, trust, refusal, &host = session_.host] {
        try {
          const TeamPrompts found = read_team_prompts(folder, host);
          if (!hash.empty() && found.hash != hash) {
            *refusal = "the team's prompts have changed meanwhile: look at them again";
          } else {
            trust->confirm(found.root, hash);
          }
        } catch (const std::exception& failed) {
          *refusal = failure_text(failed);
        }
      },
      lifetime_.guard([this, kept, refusal] {
        menu_.look_for_team_actions();
        if (!refusal->empty()) return kept->error(error_code::request_failed, *refusal);
        kept->result(nullptr);
      }));
}

}  // namespace hearth::lsp
