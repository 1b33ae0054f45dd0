// "Ask": a question about the code in the person's own words, answered in Markdown. An editor that
// can ask for one sends it with the command; any other takes it from a `hearth:` comment.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

Availability listed(const TaskInput& input) {
  return needs_instruction(input, "Ask", "What do you want to know?");
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "ask", "{instruction}"));
}

}  // namespace

extern const Action ask{.id = "ask",
                        .title = "Ask about selection…",
                        .title_here = "Ask about this function…",
                        .verb = "Ask about",
                        .kind = "hearth.ask",
                        .listed = listed,
                        .plan = plan,
                        .apply = shows_answer};

}  // namespace hearth::lsp
