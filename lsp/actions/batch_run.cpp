// Finding, then planning one file after the other.
#include "lsp/actions/batch_run.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "lsp/actions/menu.hpp"
#include "lsp/actions/planned_request.hpp"
#include "lsp/actions/unopened.hpp"
#include "lsp/context/matching_files.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_file_bytes = std::size_t{1} << 20U;

std::vector<std::string> patterns_in(const Json& arguments) {
  const Json& files = member(arguments, "files");
  std::vector<std::string> patterns;
  if (files.is_string()) return {files.get<std::string>()};
  for (const Json& each : array_member(arguments, "files")) {
    if (!each.is_string()) throw InvalidParams("\"files\" holds what is not a pattern");
    patterns.push_back(each.get<std::string>());
  }
  return patterns;
}

// As the disk has it; null: nothing that a model could be shown.
SnapshotPtr read_text(const Host& host, const std::string& uri,
                      const std::vector<std::string>& folders) {
  SnapshotPtr file = read_unopened(uri, folders, host);
  if (!file) return nullptr;
  const std::string& text = file->text->str();
  if (text.size() > max_file_bytes || is_blank(text) || text.find('\0') != text.npos)
    return nullptr;
  return file;
}

}  // namespace

struct BatchRun::Search {
  const Action* action = nullptr;
  std::string instruction;
  std::vector<std::string> patterns;
  std::vector<SnapshotPtr> files;
  bool cut = false;
};

void BatchRun::run(const Json& arguments, Reply& reply) {
  const auto search = std::make_shared<Search>();
  search->action = action_with_id(string_member(arguments, "action"));
  if (search->action == nullptr || search->action->answers != Answers::code)
    throw InvalidParams("\"action\" is none that changes code");
  if (find(arguments, "instruction") != nullptr)
    search->instruction = valid_utf8(string_member(arguments, "instruction"));
  search->patterns = patterns_in(arguments);
  if (search->patterns.empty()) throw InvalidParams("\"files\" is empty");
  if (session_.folders.empty()) {
    reply.error(error_code::request_failed, "no folder is open: there are no files to match");
    return;
  }
  const auto kept = std::make_shared<Reply>(std::move(reply));
  session_.host.background(
      [search, &host = session_.host, folders = session_.folders] {
        MatchingFiles files = matching_files(host, folders, search->patterns, max_files);
        search->cut = files.cut;
        for (const std::string& uri : files.uris) {
          if (SnapshotPtr text = read_text(host, uri, folders)) search->files.push_back(text);
        }
      },
      lifetime_.guard([this, search, kept] { found(*search, *kept); }));
}

void BatchRun::found(const Search& search, Reply& reply) {
  const auto fail = [&reply](const std::string& reason) {
    reply.error(error_code::request_failed, reason);
  };
  if (search.cut)
    return fail(fmt::format("more than {} files match: name fewer at a time", max_files));
  if (search.files.empty())
    return fail(
        "no file matches: there is none, or only ones that git ignores, that look like secrets, "
        "that are empty or no text");
  const Action& action = *search.action;
  TaskInput input = task_input(session_, search.files.front(), {}, nullptr);
  input.instruction = search.instruction;
  const Availability available = action.listed(input);
  if (!available) return fail(std::string(available.why_not));

  const Batch batch{session_.jobs.next_batch(),
                    available.title.empty()
                        ? fmt::format("{} {} files", action.verb, search.files.size())
                        : available.title,
                    static_cast<std::int64_t>(search.files.size())};
  JobId last = 0;
  for (const SnapshotPtr& file : search.files) {
    Request request;
    request.action = action.id;
    request.title = std::string(action.verb) + " " + display_path(file->uri, session_.folders);
    request.place = Json{{"file", file->uri}, {"instruction", search.instruction}}.dump();
    request.options.priority = Priority::background;
    request.batch = batch;
    request.review = true;
    last = jobs_.begin(std::move(request), file->uri, std::nullopt);
    plan(*session_.jobs.find(last));
  }
  jobs_.show_begun(last, [kept = std::make_shared<Reply>(std::move(reply)), batch] {
    kept->result({{"batch", batch.id}, {"files", batch.size}});
  });
}

void BatchRun::plan(const Job& job) {
  unplanned_.push_back(job.id);
  if (unplanned_.size() == 1) plan_next();
}

// An editor's text is newer than the disk's.
void BatchRun::plan_next() {
  while (!unplanned_.empty()) {
    const JobId id = unplanned_.front();
    const Job* const job = session_.jobs.find(id);
    if (job == nullptr || ended(job->state) || job->request.has_prompt()) {
      unplanned_.pop_front();
      continue;
    }
    const std::string uri = string_member(parse_json(std::string(job->request.place)), "file");
    if (const SnapshotPtr open = session_.documents.find(uri)) return plan_text(id, open);
    const auto text = std::make_shared<SnapshotPtr>();
    return session_.host.background(
        [text, uri, &host = session_.host, folders = session_.folders] {
          *text = read_text(host, uri, folders);
        },
        lifetime_.guard([this, id, text] { plan_text(id, *text); }));
  }
}

void BatchRun::plan_text(JobId id, const SnapshotPtr& text) {
  const Job* const job = session_.jobs.find(id);
  const Action* const action = job != nullptr ? action_with_id(job->request.action) : nullptr;
  if (action == nullptr || !text) {
    return planned(id, text, ModelError{"the file cannot be read any more"});
  }
  const Json place = parse_json(std::string(job->request.place));
  TaskInput input = task_input(session_, text, {}, nullptr);
  input.selection = {text->text->begin(), Byte{text->text->str().size()}};
  input.instruction = string_member(place, "instruction");
  const GenerateOptions options = options_for(session_, *action, input.selection);
  make_action_prompt(session_, *action, std::move(input), options,
                     lifetime_.guard([this, id, text](Result<Planned> result) {
                       planned(id, text, std::move(result));
                     }));
}

void BatchRun::planned(JobId id, const SnapshotPtr& text, Result<Planned> result) {
  unplanned_.pop_front();
  if (const Job* const job = session_.jobs.find(id); job != nullptr && !ended(job->state)) {
    std::variant<Request, std::string> made = std::string();
    if (const auto* error = std::get_if<ModelError>(&result)) {
      made = error->message;
    } else {
      made = planned_request(session_, *action_with_id(job->request.action), text,
                             std::get<Planned>(std::move(result)));
    }
    if (const auto* refusal = std::get_if<std::string>(&made)) {
      session_.jobs.fail(id, *refusal);
    } else {
      auto& request = std::get<Request>(made);
      request.title = job->request.title;
      request.options.priority = job->request.options.priority;
      request.batch = job->request.batch;
      request.review = job->request.review;
      session_.jobs.submit(id, std::move(request));
    }
  }
  plan_next();
}

}  // namespace hearth::lsp
