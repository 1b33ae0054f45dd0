// What a menu lists, and the prompt behind it.
#include "lsp/actions/menu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lsp/context/pinned.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/settings.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// "hearth" and "" ask for "hearth.explain" too.
bool wanted(const Json* only, std::string_view kind) {
  if (only == nullptr || !only->is_array()) return true;
  return std::ranges::any_of(*only, [kind](const Json& entry) {
    if (!entry.is_string()) return false;
    const auto prefix = entry.get<std::string>();
    return kind.starts_with(prefix) &&
           (prefix.empty() || kind.size() == prefix.size() || kind[prefix.size()] == '.');
  });
}

// What the context is to leave to an answer. A thought has up to a quarter of a small context: it
// can be cut, but without code before it there is nothing to think about.
std::int64_t tokens_to_write(const GenerateOptions& options, const ModelProfile& profile) {
  const std::int64_t answer = std::min(options.max_tokens, profile.context_tokens / 2);
  if (!profile.thinking || options.asks_to_think() == false) return answer;
  return answer + std::min(options.thinking_budget, profile.context_tokens / 4);
}

// Empty where it is not worth saying.
std::string time_text(std::chrono::milliseconds time) {
  const auto seconds = (time.count() + 500) / 1000;
  if (seconds < 5) return {};
  if (seconds < 90) return fmt::format(" · about {} s", (seconds + 2) / 5 * 5);
  return fmt::format(" · about {} min", (seconds + 30) / 60);
}

// Whose words the instruction has, for people who look at the prompt.
void tell_source(Prompt& prompt, const std::string& source) {
  if (source.empty() || prompt.messages.empty()) return;
  for (Segment& segment : prompt.messages.back().segments) {
    if (segment.provenance == Provenance::instruction) segment.why = source;
  }
}

std::vector<PinnedFile> pinned_files(const Session& session) {
  std::vector<PinnedFile> files;
  for (const std::string& uri : session.pinned) files.push_back({uri, session.documents.find(uri)});
  return files;
}

}  // namespace

TaskInput task_input(const Session& session, SnapshotPtr snapshot, const Range& range,
                     const Json* diagnostics) {
  const Encoding encoding = session.documents.encoding();
  const Text& text = *snapshot->text;
  TaskInput input;
  input.selection = text.bytes(range, encoding);
  input.diagnostics = read_diagnostics(diagnostics, text, encoding);
  input.instruction = comment_instruction(text, input.selection);
  input.snapshot = std::move(snapshot);
  input.syntax = session.syntax;
  input.folders = session.folders;
  input.index = session.index;
  input.recent_edits = session.recent_edits.newest(
      [&](const std::string& uri) { return session.documents.find(uri); });
  return input;
}

// As text: JSON numbers of many clients are doubles.
std::string selection_hash(const TaskInput& input) {
  return fmt::format("{:016x}", content_hash(input.snapshot->text->view(input.selection)));
}

GenerateOptions options_for(const Session& session, const Action& action, ByteRange code) {
  GenerateOptions options;
  options.action = action.id;
  options.max_tokens = session.options.answer_max_tokens;
  options.thinking = thinking_asked(session.options.thinking_mode, action.thinks);
  options.thinking_budget = session.options.thinking_budget;
  options.sampling = action.sampling;
  options.client = session.number();
  if (action.answers == Answers::code) {
    // The same code again and some more.
    const auto bytes = static_cast<double>(code.end.value - code.begin.value);
    const double whole = 1.5 * bytes / session.token_counts->bytes_per_token() + 64;
    options.max_tokens = std::max(options.max_tokens, static_cast<std::int64_t>(whole));
  }
  return options;
}

void make_action_prompt(Session& session, const Action& action, TaskInput input,
                        const GenerateOptions& options, Callback<Planned> done,
                        std::vector<PinnedFile> attached, const std::string& own) {
  const auto source = std::make_shared<std::string>();  // of a wording that is a person's
  make_prompt(
      session.host, session.model, session.token_counts,
      [&action, input = std::move(input), options, pinned = pinned_files(session),
       attached = std::move(attached), &host = session.host, source, own,
       trust = session.options.prompt_trust,
       user_wording = session.options.user_wording](ModelProfile profile) mutable {
        input.pinned = pinned_texts(pinned, input.folders, host);
        input.attached = pinned_texts(attached, input.folders, host);
        const std::string name(action.id);
        auto wording = own.empty() && user_wording ? user_wording(name) : std::nullopt;
        if (!wording && trust != nullptr) {
          const std::string uri = input.snapshot ? input.snapshot->uri : std::string();
          const std::string folder = team_folder(uri, input.folders);
          wording = team_wording(confirmed_team_prompts(folder, host, *trust), action, own);
        }
        if (wording) {
          *source = wording->source;
          profile.wordings[name] = std::move(*wording);
        }
        input.answer_tokens = tokens_to_write(options, profile);
        return action.plan(input, profile);
      },
      [source, done = std::move(done)](Result<Planned> result) {
        if (auto* planned = std::get_if<Planned>(&result)) tell_source(planned->prompt, *source);
        done(std::move(result));
      });
}

Menu::Menu(Session& session) : session_(session) {
  session.model.describe(lifetime_.guard([this](const Result<ModelDescription>& description) {
    if (const auto* model = std::get_if<ModelDescription>(&description)) model_ = *model;
  }));
  look_for_team_actions();
}

Menu::~Menu() {
  close();
}

void Menu::look_for_team_actions() {
  const PromptTrust* const trust = session_.options.prompt_trust;
  if (trust == nullptr || session_.folders.empty()) return;
  const auto found = std::make_shared<std::vector<TeamPrompts>>();
  session_.host.background(
      [found, trust, folders = session_.folders, &host = session_.host] {
        for (const std::string& folder : folders)
          found->push_back(confirmed_team_prompts(folder, host, *trust));
      },
      lifetime_.guard([this, found] { teams_ = std::move(*found); }));
}

Json Menu::commands() {
  Json commands = Json::array();
  for (const Action* action : actions()) commands.push_back(command_of(*action));
  return commands;
}

Json Menu::kinds() {
  Json kinds = Json::array();
  for (const Action* action : actions()) {
    if (action->about == About::code) kinds.push_back(action->kind);
  }
  return kinds;
}

Json Menu::list(const Json& params) {
  SnapshotPtr snapshot = session_.documents.required(document_uri(params));
  const Range range = range_member(params, "range");
  const Json& context = member(params, "context");
  TaskInput input = task_input(session_, std::move(snapshot), range, find(context, "diagnostics"));
  const Json* trigger = find(context, "triggerKind");
  input.invoked = trigger == nullptr || *trigger != code_action_trigger::automatic;
  const Json* only = find(context, "only");
  if (is_off(session_.settings, *input.snapshot, session_.folders)) return Json::array();
  // Why something cannot be chosen is told to who asks for its very kind.
  const bool tell = input.invoked && only != nullptr && session_.client.disabled_actions &&
                    session_.client.code_action_literals;

  Json listed = Json::array();
  const Action* first = nullptr;
  for (const Action* action : actions()) {
    if (action->about != About::code || !wanted(only, action->kind) ||
        session_.settings.disabled_actions.contains(action->id))
      continue;
    const Availability available = action->listed(input);
    const bool asked = !available.asks.empty() && session_.client.has(extension::feature_jobs);
    if (available || asked) {
      if (first == nullptr) first = action;
      listed.push_back(entry(*action, available, input, params));
    } else if (tell) {
      listed.push_back({{"title", action->title},
                        {"kind", action->kind},
                        {"disabled", {{"reason", available.why_not}}}});
    }
  }
  list_team(input, params, only, listed);
  if (input.invoked) look_for_team_actions();  // for the next menu
  if (first != nullptr && trigger != nullptr && *trigger == code_action_trigger::invoked)
    read_ahead(*first, input);
  return listed;
}

void Menu::list_team(const TaskInput& input, const Json& params, const Json* only,
                     Json& listed) const {
  const std::string folder = team_folder(input.snapshot->uri, session_.folders);
  const auto team = std::ranges::find(teams_, folder, &TeamPrompts::folder);
  if (team == teams_.end() || !needs_code(input)) return;
  const Settings& settings = session_.settings;
  for (const TeamPrompt& prompt : team->prompts) {
    const Action& action = *prompt.action;
    const std::string kind = fmt::format("{}.{}", action.kind, prompt.name);
    if (prompt.title.empty() || !wanted(only, kind) ||
        settings.disabled_actions.contains(action.id) ||
        settings.disabled_actions.contains(prompt.name))
      continue;
    Availability available{{}, prompt.title + " (the team's)"};
    if (prompt.text.find("{instruction}") != std::string::npos && input.instruction.empty()) {
      if (!session_.client.has(extension::feature_jobs)) continue;
      available.why_not = "Say what you want.";
      available.asks = "What do you want to say with it?";
    }
    Json entry = this->entry(action, available, input, params);
    const bool literal = session_.client.code_action_literals;
    Json& command = literal ? entry["command"] : entry;
    command["arguments"][0]["prompt"] = {{"name", prompt.name}, {"title", prompt.title}};
    if (literal) entry["kind"] = kind;
    listed.push_back(std::move(entry));
  }
}

// `params` are those of the request that lists it.
Json Menu::entry(const Action& action, const Availability& available, const TaskInput& input,
                 const Json& params) const {
  const Snapshot& snapshot = *input.snapshot;
  Json place{{"uri", snapshot.uri},
             {"version", snapshot.version},
             {"range", params["range"]},
             {"hash", selection_hash(input)}};
  // executeCommand brings nothing but its arguments.
  if (!input.diagnostics.empty()) place["diagnostics"] = params["context"]["diagnostics"];
  if (!available) place["asks"] = available.asks;
  const std::string shown = title(action, available, input);
  Json command{{"title", shown},
               {"command", command_of(action)},
               {"arguments", Json::array({std::move(place)})}};
  if (!session_.client.code_action_literals) return command;
  Json listed{{"title", shown}, {"kind", action.kind}, {"command", std::move(command)}};
  if (action.kind == "quickfix") listed["diagnostics"] = params["context"]["diagnostics"];
  if (session_.client.action_tags) listed["tags"] = {code_action_tag::llm_generated};
  return listed;
}

std::string Menu::title(const Action& action, const Availability& available,
                        const TaskInput& input) const {
  const Text& text = *input.snapshot->text;
  const bool selected = !is_blank(text.view(input.selection));
  std::string title = !available.title.empty() ? available.title
                      : selected               ? std::string(action.title)
                                               : std::string(action.title_here);
  if (!model_ || !model_->capabilities.prefix_state) return title;
  // Without parsing: what is around a cursor is some screenful, and context takes as much again.
  constexpr std::size_t usual_bytes = 1500;
  ByteRange code = input.selection;
  if (!selected) code.end = Byte{code.begin.value + std::min(usual_bytes, text.str().size())};
  const double bytes = static_cast<double>(code.end.value - code.begin.value);
  const double read =
      bytes / session_.token_counts->bytes_per_token() * (model_->profile.surroundings ? 2 : 1) +
      100;
  const auto tokens = std::min(static_cast<std::int64_t>(read), model_->profile.context_tokens);
  const auto time =
      session_.model.usual_time(Prompt::Kind::chat, tokens, options_for(session_, action, code));
  return time ? title + time_text(*time) : title;
}

// Only while nothing else is asked of the model: a menu is no promise that anything follows.
void Menu::read_ahead(const Action& action, const TaskInput& input) {
  close();
  if (is_secret(input.snapshot->uri)) return;
  if (!model_ || !model_->capabilities.prefix_state || !model_->capabilities.parking) return;
  if (session_.jobs.is_any_running()) return;
  make_action_prompt(session_, action, input, options_for(session_, action, input.selection),
                     lifetime_.guard([this, menu = ++menus_](Result<Planned> planned) {
                       auto* made = std::get_if<Planned>(&planned);
                       if (made == nullptr || menu != menus_) return;
                       ahead_ = session_.model.prefill(
                           std::move(made->prompt),
                           lifetime_.guard([this, menu](const Result<Estimate>&) {
                             if (menu == menus_) ahead_.reset();
                           }));
                     }));
}

void Menu::close() {
  ++menus_;
  if (ahead_) session_.model.cancel(*ahead_);
  ahead_.reset();
}

}  // namespace hearth::lsp
