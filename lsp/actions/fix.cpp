// "Fix": what the editor's tools say is wrong with the code.
#include "lsp/actions/actions.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording = "Fix this problem: {problem}.";

// One problem as it stands in a menu.
std::string shortened(std::string_view message) {
  constexpr std::size_t max_bytes = 60;
  std::string line(trimmed(message.substr(0, message.find_first_of(line_ends))));
  if (line.size() <= max_bytes) return line;
  std::size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;
  return line.substr(0, end) + "...";
}

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
