// Running the action that was chosen: workspace/executeCommand, the jobs that follow, questions
// that follow those, and what a client may do to them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/job_view.hpp"
#include "lsp/actions/menu.hpp"
#include "lsp/actions/prompt_document.hpp"
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

 private:
  // What a command's arguments mean, checked against the document as it is now.
  struct Choice {
    const Action* action;
    TaskInput input;
    Range range;
  };

  void execute(const Json& params, Reply& reply);
  Choice read_choice(const Action& action, const Json& place) const;
  void choose(const Action& action, const Json& place, Reply& reply);
  void follow_up(const Json& arguments, Reply& reply);
  void show_prompt(const Json& arguments, Reply& reply);
  void pin(const Json& arguments, Reply& reply);
  void snooze(const Json& arguments, Reply& reply);
  void ask_for_secret(const Choice& choice, Reply& reply);
  void run(const Choice& choice);
  void submit(JobId id, const Choice& choice, Result<Planned> planned);
  // Asks on after an ended job: its answer, then `question`.
  void ask_on(const Job& job, const std::string& question, Request request, Range range);
  void repair(const Job& job, const std::string& complaint);
  // A job that is announced and shown to the client, still without a prompt.
  JobId show(Request request, Range range);
  void tell_left_out(const std::string& path);
  void or_cancel(JobId id, const std::function<void()>& go_ahead);
  void forget_settled();

  Session& session_;
  Menu menu_;
  PromptDocument prompt_document_;
  std::map<JobId, std::unique_ptr<JobView>> runs_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
