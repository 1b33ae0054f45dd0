// "Extract": a part of the code becomes a function of its own, with a name that says what it does.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Extract the part of this {unit} that most deserves a name of its own into a new function "
    "beside "
    "it, and call that. Change nothing that it does.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "extract", wording));
}

}  // namespace

extern const Action extract{.id = "extract",
                            .title = "Extract selection into a function",
                            .title_here = "Extract a part of this function",
                            .verb = "Extract from",
                            .kind = "refactor.extract",
                            .answers = Answers::code,
                            .thinks = true,
                            .sampling = Sampling::greedy,
                            .listed = needs_code,
                            .plan = plan,
                            .apply = changes_code};

}  // namespace hearth::lsp
