// "Simplify": the same behaviour with less.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Simplify this {unit}.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "simplify", wording));
}

}  // namespace

extern const Action simplify{.id = "simplify",
                             .title = "Simplify selection",
                             .title_here = "Simplify this function",
                             .verb = "Simplify",
                             .kind = "refactor.rewrite.simplify",
                             .answers = Answers::code,
                             .thinks = true,
                             .sampling = Sampling::greedy,
                             .listed = needs_code,
                             .plan = plan,
                             .apply = changes_code};

}  // namespace hearth::lsp
