// The table, and the actions that need no file of their own.
#include "lsp/actions/actions.hpp"

#include <algorithm>
#include <utility>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

std::string_view explain_disabled(const Text& text, ByteRange selection) {
  if (is_blank(text.view({text.begin(), Byte{text.str().size()}}))) return "The document is empty.";
  if (is_blank(text.view(selection))) return "Select the code to explain.";
  return {};
}

Request prepare_explain(const Snapshot& snapshot, const ContextPlan& plan, Prompt prompt,
                        GenerateOptions options) {
  Request request;
  request.action = "explain";
  request.title = "Explain " + plan.subject();
  request.prompt = std::move(prompt);
  request.options = std::move(options);
  request.targets.push_back({snapshot.uri, snapshot.version, plan.range(),
                             content_hash(snapshot.text->view(plan.range()))});
  return request;
}

Effect apply_explain(const Request& request, std::string_view answer, const Documents&) {
  return ShowText{request.title, "# " + request.title + "\n\n" + std::string(answer) + "\n"};
}

constexpr std::array table{
    Action{"explain", "Explain selection", "hearth.explain", "hearth.server.explain",
           explain_disabled, prepare_explain, apply_explain},
};

const Action* find_by(std::string_view Action::*key, std::string_view wanted) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Action& action) { return action.*key == wanted; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Action> actions() {
  return table;
}

const Action* action_with_id(std::string_view id) {
  return find_by(&Action::id, id);
}

const Action* action_with_command(std::string_view command) {
  return find_by(&Action::command, command);
}

}  // namespace hearth::lsp
