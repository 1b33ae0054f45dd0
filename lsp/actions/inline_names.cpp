// "Inline": what is named without need stands where it is used.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Inline the variables and local functions of this {unit} that are used once and whose names "
    "say "
    "nothing that their contents do not. Change nothing that it does.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "inline", wording));
}

}  // namespace

extern const Action inline_names{.id = "inline",
                                 .title = "Inline what selection calls",
                                 .title_here = "Inline a call in this function",
                                 .verb = "Inline in",
                                 .kind = "refactor.inline",
                                 .answers = Answers::code,
                                 .thinks = true,
                                 .sampling = Sampling::greedy,
                                 .listed = needs_code,
                                 .plan = plan,
                                 .apply = changes_code};

}  // namespace hearth::lsp
