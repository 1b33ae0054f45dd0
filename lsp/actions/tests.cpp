// "Write tests": in Markdown, as where a project keeps its tests is the person's to know.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Write tests for this {unit}, in {language} and with the framework that is usual there: the "
    "ordinary case, the borders, and what must fail. Reply with one code block that can be put "
    "into a file of its own, and after it name in one sentence what you left untested.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "tests", wording));
}

}  // namespace

extern const Action tests{.id = "tests",
                          .title = "Write tests for selection",
                          .title_here = "Write tests for this function",
                          .verb = "Write tests for",
                          .kind = "hearth.tests",
                          .listed = needs_code,
                          .plan = plan,
                          .apply = shows_answer};

}  // namespace hearth::lsp
