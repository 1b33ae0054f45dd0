// "Translate": the code in another language, in Markdown, as its file is of this one. The language
// comes as the instruction: with the command, or in a `hearth:` comment.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Translate this {unit} to {instruction}. Reply with the whole {unit} in one code block.";

Availability listed(const TaskInput& input) {
  constexpr std::size_t max_name_bytes = 30;
  if (input.instruction.size() > max_name_bytes) return {"The instruction is no language's name."};
  return needs_instruction(input, "Translate to", "To which language?");
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_task(input, profile, wording_of(profile, "translate", wording));
}

}  // namespace

extern const Action translate{.id = "translate",
                              .title = "Translate selection…",
                              .title_here = "Translate this function…",
                              .verb = "Translate",
                              .kind = "hearth.translate",
                              .thinks = false,
                              .sampling = Sampling::greedy,
                              .listed = listed,
                              .plan = plan,
                              .apply = shows_answer};

}  // namespace hearth::lsp
