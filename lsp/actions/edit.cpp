// "Edit": a change in the person's own words. An editor that can ask for them sends them with the
// command; any other takes them from a `hearth:` comment, which the change removes.
#include "lsp/actions/actions.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "{instruction}";

Availability listed(const TaskInput& input) {
  return needs_instruction(input, "Edit", "What is to change?");
}

ContextPlan plan(const TaskInput& asked, const ModelProfile& profile) {
  TaskInput input = asked;
  // What follows is a sentence of its own.
  const char last = input.instruction.empty() ? '.' : input.instruction.back();
  if (is_word_byte(last) || last == '`' || last == ')') input.instruction += '.';
  return plan_change(input, profile, wording_of(profile, "edit", wording));
}

}  // namespace

extern const Action edit{.id = "edit",
                         .title = "Edit selection…",
                         .title_here = "Edit this function…",
                         .verb = "Edit",
                         .kind = "refactor.rewrite.edit",
                         .answers = Answers::code,
                         .thinks = true,
                         .sampling = Sampling::greedy,
                         .listed = listed,
                         .plan = plan,
                         .apply = changes_code};

}  // namespace hearth::lsp
