// "Add types": annotations where a language leaves them to the author.
#include <algorithm>
#include <array>

#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Add type hints.";

// Elsewhere types are no matter of choice, or have no place.
constexpr std::array<std::string_view, 6> languages{"python", "typescript",      "typescriptreact",
                                                    "php",    "javascriptreact", "javascript"};

Availability listed(const TaskInput& input) {
  if (std::ranges::find(languages, input.snapshot->language_id) == languages.end())
    return {"This language has no annotations to add."};
  return needs_code(input);
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "types", wording));
}

}  // namespace

extern const Action types{.id = "types",
                          .title = "Add types to selection",
                          .title_here = "Add types to this function",
                          .verb = "Add types to",
                          .kind = "refactor.rewrite.types",
                          .answers = Answers::code,
                          .thinks = false,
                          .sampling = Sampling::greedy,
                          .listed = listed,
                          .plan = plan,
                          .apply = changes_code};

}  // namespace hearth::lsp
