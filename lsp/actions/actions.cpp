// The table, and what several actions share.
#include "lsp/actions/actions.hpp"

#include <algorithm>
#include <array>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {

// In the order of the menu.
extern const Action explain;  // explain.cpp
extern const Action review;   // review.cpp

namespace {

constexpr std::array table{&explain, &review};

constexpr std::string_view command_prefix = "hearth.server.";

}  // namespace

std::span<const Action* const> actions() {
  return table;
}

const Action* action_with_id(std::string_view id) {
  const auto found = std::ranges::find(table, id, [](const Action* action) { return action->id; });
  return found == table.end() ? nullptr : *found;
}

const Action* action_with_command(std::string_view command) {
  if (!command.starts_with(command_prefix)) return nullptr;
  return action_with_id(command.substr(command_prefix.size()));
}

std::string command_of(const Action& action) {
  return std::string(command_prefix).append(action.id);
}

Effect effect_of(const Job& job, const Documents& documents) {
  const Action* action = action_with_id(job.request.action);
  return action != nullptr ? action->apply(job.request, job.text, documents) : Effect{job.text};
}

Wording wording_of(const ModelProfile& profile, std::string_view id, std::string_view own) {
  const auto other = profile.wordings.find(std::string(id));
  return other != profile.wordings.end() ? other->second
                                         : Wording{std::string(id), std::string(own)};
}

Availability needs_selection(const TaskInput& input, std::string_view no_selection) {
  const Text& text = *input.snapshot->text;
  if (is_blank(text.view({text.begin(), Byte{text.str().size()}})))
    return {"The document is empty."};
  if (is_blank(text.view(input.selection))) return {no_selection};
  return {};
}

Effect shows_answer(const Request&, std::string_view answer, const Documents&) {
  return {std::string(answer)};
}

}  // namespace hearth::lsp
