// "Review": what a reviewer would say about the code, in Markdown.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Review this code. List what is wrong with it or may go wrong, the most serious first: quote "
    "the line, say what happens and when, and how to mend it. Leave out matters of taste. If there "
    "is nothing to mend, say so in one sentence.\n"
    "What the editor's tools say about it: {diagnostics}";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "review", wording));
}

}  // namespace

extern const Action review{.id = "review",
                           .title = "Review selection",
                           .title_here = "Review this function",
                           .verb = "Review",
                           .kind = "hearth.review",
                           .listed = needs_code,
                           .plan = plan,
                           .apply = shows_answer};

}  // namespace hearth::lsp
