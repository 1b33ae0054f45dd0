// Listing the actions and running the one that was chosen: textDocument/codeAction,
// workspace/executeCommand, the jobs that follow, and what a client may do to them.
#pragma once

#include <map>
#include <memory>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/job_view.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class CodeActions {
 public:
  // Registers its methods. The session outlives it.
  explicit CodeActions(Session& session);
  // Cancels the session's jobs that still run; what they wrote so far stays in their files.
  ~CodeActions();

  static Json commands();  // for initialize
  static Json kinds();

 private:
  // What a command's arguments mean, checked against the document as it is now.
  struct Choice {
    const Action* action;
    TaskInput input;
    Range range;
  };

  TaskInput input(SnapshotPtr snapshot, const Range& range, const Json* diagnostics) const;
  Json list(const Json& params) const;
  Json code_action(const Action& action, const TaskInput& input, const Json& params) const;
  void execute(const Json& params, Reply& reply);
  void run(const Choice& choice);
  void begin_prompt(JobId id, const Choice& choice);
  GenerateOptions generate_options() const;
  void submit(JobId id, const SnapshotPtr& snapshot, Result<Planned> planned);
  void forget_settled();

  Session& session_;
  std::map<JobId, std::unique_ptr<JobView>> runs_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
