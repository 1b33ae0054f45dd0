// "Document": the code with its documentation written, in the place its language has for it.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Write a docstring for this {unit}.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "document", wording));
}

}  // namespace

extern const Action document{.id = "document",
                             .title = "Document selection",
                             .title_here = "Document this function",
                             .verb = "Document",
                             .kind = "refactor.rewrite.document",
                             .answers = Answers::code,
                             .thinks = false,
                             .sampling = Sampling::greedy,
                             .listed = needs_code,
                             .plan = plan,
                             .apply = changes_code};

}  // namespace hearth::lsp
