// Listing the actions and running the one that was chosen: textDocument/codeAction,
// workspace/executeCommand, the jobs that follow, and what a client may do to them.
#pragma once

#include <map>
#include <memory>

#include "lsp/actions.hpp"
#include "lsp/job_view.hpp"
#include "lsp/lifetime.hpp"
#include "lsp/planning.hpp"
#include "lsp/session.hpp"

namespace hearth::lsp {

class CodeActions {
 public:
  // Registers its methods. The session outlives it.
  explicit CodeActions(Session& session);
  // Jobs go on without this session, except those whose prompt is not made yet.
  ~CodeActions();

  static Json commands();  // for initialize
  static Json kinds();

 private:
  struct Run {
    std::unique_ptr<JobView> view;
    bool submitted = false;
  };
  // What a command's arguments mean, checked against the document as it is now.
  struct Choice {
    const Action* action;
    SnapshotPtr snapshot;
    ByteRange selection;
    Range range;
  };

  Json list(const Json& params) const;
  Json code_action(const Action& action, const Snapshot& snapshot, const Range& range) const;
  void execute(const Json& params, Reply& reply);
  void run(const Choice& choice);
  void submit(JobId id, const Choice& choice, Result<Planned> planned);
  void forget_settled();

  Session& session_;
  std::map<JobId, Run> runs_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
