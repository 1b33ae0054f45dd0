// "Commit message": what a staged change does and why. The diff comes with the command, from the
// client or from `hearth commit-message`; the daemon starts no program to get one.
#include "lsp/actions/actions.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view wording =
    "Write the commit message for this change: one line of at most 72 characters that says what it "
    "does, in the imperative; then, where that does not say it all, an empty line and why, in a "
    "few "
    "lines. Reply with the message alone.";

Availability listed(const TaskInput& input) {
  if (is_blank(input.diff)) return {"The diff is empty: stage a change first."};
  return {};
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_diff(input, profile, wording_of(profile, "commit-message", wording));
}

}  // namespace

extern const Action commit_message{.id = "commit-message",
                                   .title = "Commit message",
                                   .title_here = "Commit message",
                                   .verb = "Commit message for",
                                   .kind = "hearth.commit",
                                   .about = About::diff,
                                   .thinks = false,
                                   .listed = listed,
                                   .plan = plan,
                                   .apply = shows_answer};

}  // namespace hearth::lsp
