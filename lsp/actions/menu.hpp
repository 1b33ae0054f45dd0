// The menu of actions: what may be chosen at a place and about how long it takes. Answered at once
// from the text alone; what a person most likely chooses is read ahead while they look.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/team_prompts.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

// What a place in a document means for an action. `range` may lie outside of the text.
TaskInput task_input(const Session& session, SnapshotPtr snapshot, const Range& range,
                     const Json* diagnostics);
// Tells whether the selected text is still what it was when a menu was shown.
std::string selection_hash(const TaskInput& input);
// How a model is to answer an action about `code`, within the session's limits.
GenerateOptions options_for(const Session& session, const Action& action, ByteRange code);
// The prompt of an action, in the user's wording where there is one, else in that of the team of
// its folder. `attached` is read for it. `own`: the name of the team's action that it is; empty:
// none. `done` is called once.
void make_action_prompt(Session& session, const Action& action, TaskInput input,
                        const GenerateOptions& options, Callback<Planned> done,
                        std::vector<PinnedFile> attached = {}, const std::string& own = {});

class Menu {
 public:
  // The session outlives it.
  explicit Menu(Session& session);
  ~Menu();
  Menu(const Menu&) = delete;
  Menu& operator=(const Menu&) = delete;

  // textDocument/codeAction.
  Json list(const Json& params);
  // Something was chosen: what is read ahead may be in its way.
  void close();
  // Reads in the background which actions the teams of the folders have.
  void look_for_team_actions();

  static Json commands();  // for initialize
  static Json kinds();

 private:
  Json entry(const Action& action, const Availability& available, const TaskInput& input,
             const Json& params) const;
  std::string title(const Action& action, const Availability& available,
                    const TaskInput& input) const;
  // Adds the team's own actions to the menu.
  void list_team(const TaskInput& input, const Json& params, const Json* only, Json& listed) const;
  void read_ahead(const Action& action, const TaskInput& input);

  Session& session_;
  std::optional<ModelDescription> model_;  // once it is known
  std::vector<TeamPrompts> teams_;         // that are confirmed, as they were when they were read
  std::optional<GenerationId> ahead_;      // what is read ahead
  std::uint64_t menus_ = 0;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
