// "Fix": what the editor's tools say is wrong with the code.
#include "lsp/actions/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Fix this problem: {problem}.";

Availability listed(const TaskInput& input) {
  const Diagnostic* here = nullptr;
  std::size_t count = 0;
  for (const Diagnostic& each : input.diagnostics) {
    if (each.range.end < input.selection.begin || input.selection.end < each.range.begin) continue;
    if (here == nullptr) here = &each;
    ++count;
  }
  if (here == nullptr) return {"The editor's tools report no problem here."};
  return {{},
          count == 1 ? "Fix: " + shortened(here->message)
                     : "Fix these " + std::to_string(count) + " problems"};
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_change(input, profile, wording_of(profile, "fix", wording));
}

}  // namespace

extern const Action fix{.id = "fix",
                        .title = "Fix this problem",
                        .title_here = "Fix this problem",
                        .verb = "Fix",
                        .kind = "quickfix",
                        .answers = Answers::code,
                        .thinks = true,
                        .sampling = Sampling::greedy,
                        .listed = listed,
                        .plan = plan,
                        .apply = changes_code};

}  // namespace hearth::lsp
