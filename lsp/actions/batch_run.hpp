// "Apply this to every file that matches": finds the files, makes a prompt for each, and leaves a
// job of background priority for each to the queue. Their edits wait for a person.
#pragma once

#include <cstddef>
#include <deque>
#include <string_view>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/session_jobs.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class BatchRun {
 public:
  // {"action": "edit", "instruction": "Add type hints.", "files": ["*.py"]}
  static constexpr std::string_view command = "hearth.session.runOnFiles";
  static constexpr std::size_t max_files = 200;

  // Both outlive it.
  BatchRun(Session& session, SessionJobs& jobs) : session_(session), jobs_(jobs) {}
  // Answers once the files are found, with {"batch": its number, "files": how many}.
  void run(const Json& arguments, Reply& reply);

  // Makes the prompt of one of the jobs, which another session may have begun.
  void plan(const Job& job);

 private:
  struct Search;

  void found(const Search& search, Reply& reply);
  void plan_next();
  void plan_text(JobId id, const SnapshotPtr& text);
  void planned(JobId id, const SnapshotPtr& text, Result<Planned> planned);

  Session& session_;
  SessionJobs& jobs_;
  std::deque<JobId> unplanned_;  // the first is under way: one at a time
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
