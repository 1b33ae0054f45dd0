// The parts of what is kept, each listed and removed.
#include "daemon/forget.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "daemon/jobs/job_file.hpp"
#include "daemon/platform/error.hpp"
#include "lsp/protocol/uri.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

using Counts = std::map<std::string, std::size_t>;  // jobs, by workspace
using Ids = std::set<lsp::JobId>;

bool is_chosen(const ForgetRequest& request, std::string_view workspace) {
  return !request.removes() || request.all || belongs_to(workspace, request.folder);
}

// The folders whose team's prompts were confirmed.
void visit_trusted(const ForgetRequest& request, PromptTrustFile& trust, json& answer) {
  const auto chosen = [&](const std::string& folder) {
    return is_chosen(request, lsp::file_uri(folder));
  };
  answer["trusted"] = trust.count(chosen);
  if (request.removes()) trust.forget(chosen);
}

json to_json(const Counts& jobs) {
  json list = json::array();
  for (const auto& [workspace, count] : jobs) {
    list.push_back({{"workspace", workspace}, {"count", count}});
  }
  return list;
}

// The files directly in `directory`; links are none.
std::vector<fs::path> files_in(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code failed;
  if (directory.empty() || !fs::is_directory(fs::symlink_status(directory, failed))) return found;
  for (fs::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code skipped;
    if (fs::is_regular_file(entry->symlink_status(skipped))) found.push_back(entry->path());
  }
  return found;
}

// The job of "explain-7.md" and "explain-7-2.md", which AnswerFiles and the actions name so.
std::optional<lsp::JobId> job_of_answer(const std::string& name) {
  const std::size_t digits = name.find_first_of("0123456789");
  if (digits == 0 || digits == std::string::npos || name[digits - 1] != '-') return std::nullopt;
  lsp::JobId id = 0;
  const auto parsed = std::from_chars(name.data() + digits, name.data() + name.size(), id);
  return parsed.ec == std::errc() ? std::optional(id) : std::nullopt;
}

void remove_file(const fs::path& file) {
  std::error_code failed;
  fs::remove(file, failed);
  if (failed) throw Error("cannot remove " + file.string() + ": " + failed.message());
}

// Counts the answers of these jobs, with `all` every one, and removes them.
std::size_t answers(const Paths& paths, bool all, const Ids& ids, bool removes) {
  std::size_t count = 0;
  for (const fs::path& file : files_in(paths.answers())) {
    const auto job = job_of_answer(file.filename().string());
    if (!all && (!job || !ids.contains(*job))) continue;
    ++count;
    if (removes) remove_file(file);
  }
  return count;
}

bool is_prompt_state(const fs::path& file) {
  return file.extension() == ".prefix";
}

// What is left of files goes into `answer`; removed is what is not of one workspace only with
// `all`. Prompts' states are another's to remove.
void visit_files(const ForgetRequest& request, const Paths& paths, const Ids& ids, json& answer) {
  const bool every = request.all || !request.removes();
  answer["answers"] = answers(paths, every, ids, request.removes());
  std::size_t set_aside = 0;
  std::error_code failed;
  const bool chat = !paths.state.empty() && fs::exists(paths.chat_history(), failed);
  if (!paths.state.empty() && every) {
    for (const fs::path& file : set_aside_job_files(paths.jobs())) {
      ++set_aside;
      if (request.removes()) remove_file(file);
    }
    if (chat && request.removes()) remove_file(paths.chat_history());
  }
  answer["setAside"] = set_aside;
  answer["chat"] = chat && every;
}

void count_prompts(const Paths& paths, json& answer) {
  std::size_t count = 0;
  std::uintmax_t bytes = 0;
  for (const fs::path& file : files_in(paths.prefixes())) {
    if (!is_prompt_state(file)) continue;
    std::error_code failed;
    const std::uintmax_t size = fs::file_size(file, failed);
    ++count;
    if (!failed) bytes += size;
  }
  answer["prompts"] = count;
  answer["promptBytes"] = bytes;
}

// Another checkpoint's too: whose words they hold, nobody can tell.
void remove_prompts(const Paths& paths) {
  for (const fs::path& file : files_in(paths.prefixes())) {
    if (is_prompt_state(file)) remove_file(file);
  }
}

}  // namespace

json to_message(const ForgetRequest& request) {
  return {
      {"request", name(ControlRequest::forget)}, {"folder", request.folder}, {"all", request.all}};
}

ForgetRequest parse_forget(const json& message) {
  const auto folder = message.find("folder");
  const auto all = message.find("all");
  if (folder == message.end() || all == message.end() || !folder->is_string() ||
      !all->is_boolean()) {
    throw Error(R"(a request to forget has "folder", a path or "", and "all", true or false)");
  }
  return {all->get<bool>(), folder->get<std::string>()};
}

bool belongs_to(std::string_view uri, const std::string& folder) {
  constexpr std::string_view scheme = "file://";
  if (folder.empty() || !uri.starts_with(scheme)) return false;
  const fs::path path = lsp::percent_decoded(uri.substr(scheme.size()));
  const auto is_below = [](const fs::path& inner, const fs::path& outer) {
    const fs::path from = inner.lexically_normal().lexically_relative(outer.lexically_normal());
    return !from.empty() && *from.begin() != "..";
  };
  if (is_below(path, folder)) return true;
  // An editor and a shell may come to it by different links.
  std::error_code failed;
  const fs::path real = fs::weakly_canonical(path, failed);
  const fs::path real_folder = fs::weakly_canonical(folder, failed);
  return !failed && is_below(real, real_folder);
}

void forget_in_daemon(const ForgetRequest& request, const Paths& paths, lsp::Jobs& jobs,
                      lsp::JobStore& store, Engines& engines, PromptTrustFile& trust,
                      const ControlReply& reply) {
  Counts counts;
  Ids ids;
  const auto chosen = [&](const lsp::Job& job) { return is_chosen(request, job.origin.workspace); };
  for (const lsp::Job* job : jobs.all()) {
    if (!chosen(*job)) continue;
    ++counts[job->origin.workspace];
    ids.insert(job->id);
  }
  auto answer = std::make_shared<json>(json{{"jobs", to_json(counts)}});
  count_prompts(paths, *answer);
  visit_trusted(request, trust, *answer);
  if (!request.removes()) {
    visit_files(request, paths, ids, *answer);
    return reply.result(*answer);
  }
  jobs.forget(chosen);
  const auto rest = [request, &paths, ids, answer, &store, reply] {
    // Behind what the jobs' end has written.
    store.remove({}, [request, paths, ids, answer, reply](const std::string& failure) {
      try {
        visit_files(request, paths, ids, *answer);
        if (failure.empty()) return reply.result(*answer);
        reply.error(failure);
      } catch (const Error& error) {
        reply.error(error.what());
      }
    });
  };
  if (engines.forget_prompts(rest)) return;
  remove_prompts(paths);
  rest();
}

json forget_in_files(const ForgetRequest& request, const Paths& paths) {
  Counts counts;
  Ids ids;
  std::error_code failed;
  if (!paths.state.empty() && fs::exists(paths.jobs(), failed)) {
    JobFile file(paths.jobs());
    Batch batch;
    batch.durable = true;
    for (const lsp::JobRecord& record : file.take_records()) {
      if (!is_chosen(request, record.workspace)) continue;
      ++counts[record.workspace];
      ids.insert(record.id);
      if (request.removes()) batch.remove(record.id);
    }
    if (request.removes()) {
      file.write(batch);
      file.scrub();
    }
  }
  json answer{{"jobs", to_json(counts)}};
  count_prompts(paths, answer);
  if (request.removes()) remove_prompts(paths);
  visit_files(request, paths, ids, answer);
  PromptTrustFile trust(paths.state.empty() ? fs::path() : paths.trusted_prompts());
  visit_trusted(request, trust, answer);
  return answer;
}

}  // namespace hearth::daemon
