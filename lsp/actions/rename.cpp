// "Improve names": local names that say what they hold, each with its reason, which is shown.
#include "lsp/actions/actions.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Give better names to the local variables and parameters of this {unit} whose names say too "
    "little or the wrong thing; keep the {unit}'s own name. For each say in one short sentence "
    "why.";

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "rename", wording));
}

// What is said before the code, for a person to read beside the change.
Effect apply(const Request& request, const Written& answer, const FindSnapshot& find) {
  Effect effect = changes_code(request, answer, find);
  const std::string_view reasons = trimmed(answer.text.substr(0, answer.text.find("```")));
  if (!effect.edits.empty() && !reasons.empty()) effect.markdown = std::string(reasons);
  return effect;
}

}  // namespace

extern const Action rename{.id = "rename",
                           .title = "Improve names in selection",
                           .title_here = "Improve names in this function",
                           .verb = "Improve names in",
                           .kind = "refactor.rewrite.rename",
                           .answers = Answers::code,
                           .thinks = false,
                           .sampling = Sampling::greedy,
                           .listed = needs_code,
                           .plan = plan,
                           .apply = apply};

}  // namespace hearth::lsp
