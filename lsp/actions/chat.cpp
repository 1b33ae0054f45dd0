// "Ask hearth": a question in the person's own words about no place in a document, with the files
// and selections that they attached. A conversation begins with it.
#include "lsp/actions/actions.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

Availability listed(const TaskInput& input) {
  if (is_blank(input.instruction)) return {"The question is empty."};
  return {};
}

ContextPlan plan(const TaskInput& input, const ModelProfile& profile) {
  return plan_words(input, profile, wording_of(profile, "chat", "{instruction}"),
                    shortened(input.instruction));
}

}  // namespace

extern const Action chat{.id = "chat",
                         .title = "Ask hearth…",
                         .title_here = "Ask hearth…",
                         .verb = "Ask hearth:",
                         .kind = "hearth.chat",
                         .about = About::words,
                         .listed = listed,
                         .plan = plan,
                         .apply = shows_answer};

}  // namespace hearth::lsp
