// "Explain": what the code does, in Markdown.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "explain", "Explain what this code does."));
}

}  // namespace

extern const Action explain{.id = "explain",
                            .title = "Explain selection",
                            .title_here = "Explain this function",
                            .verb = "Explain",
                            .kind = "hearth.explain",
                            .listed = needs_code,
                            .plan = plan,
                            .apply = shows_answer};

}  // namespace hearth::lsp
