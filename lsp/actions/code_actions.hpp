// Running the action that was chosen: workspace/executeCommand, from a place in a document to a job
// with a prompt. The jobs are session_jobs.hpp's.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/batch_run.hpp"
#include "lsp/actions/menu.hpp"
#include "lsp/actions/prompt_document.hpp"
#include "lsp/actions/session_jobs.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class CodeActions {
 public:
  // Registers its methods. The session outlives it.
  explicit CodeActions(Session& session);

  static Json commands();  // for initialize
  // A document is open: a job may have waited for it.
  void opened() { jobs_.adopt_soon(); }

 private:
  // What a command's arguments mean, checked against the document as it is now.
  struct Choice {
    const Action* action;
    TaskInput input;
    Range range;
    Json place;  // as it came, with the hash of the text that it means
    std::vector<PinnedFile> attached = {};
    std::string own = {};    // the name of the team's action that it is; empty: none
    std::string title = {};  // of that one
  };

  void execute(const Json& params, Reply& reply);
  Choice read_choice(const Action& action, const Json& place) const;
  void choose(const Action& action, const Json& place, Reply& reply);
  void show_prompt(const Json& arguments, Reply& reply);
  void pin(const Json& arguments, Reply& reply);
  void snooze(const Json& arguments, Reply& reply);
  void list_team_prompts(Reply& reply);
  void use_team_prompts(const Json& arguments, Reply& reply);
  void ask_for_secret(const Choice& choice, Reply& reply);
  // `begun` is called once its job is written down, before the client hears of it.
  void run(const Choice& choice, std::function<void()> begun);
  void submit(JobId id, const Choice& choice, Result<Planned> planned);
  void plan(JobId id, const Choice& choice);
  void make_prompt(JobId id, const Choice& choice);
  void plan_again(const Job& job);
  bool has_changed(const Choice& choice) const;
  void tell_left_out(const std::string& path);

  Session& session_;
  Menu menu_;
  PromptDocument prompt_document_;
  SessionJobs jobs_;
  BatchRun batches_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
