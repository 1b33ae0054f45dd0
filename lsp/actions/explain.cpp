// "Explain selection": what the selected code does, in Markdown.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Explain what this code does.";

Availability listed(const TaskInput& input) {
  return needs_selection(input, "Select the code to explain.");
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "explain", wording));
}

}  // namespace

extern const Action explain{"explain", "Explain selection", "Explain", "hearth.explain", listed,
                            plan,      shows_answer};

}  // namespace hearth::lsp
