// What a request has beside its prompt.
#include "lsp/actions/planned_request.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "lsp/actions/menu.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

// Whether the prompt shows all of `code`: what was cut out of it would be missing in an answer.
bool shows_all(const Prompt& prompt, std::string_view code) {
  std::ptrdiff_t shown = 0;
  for (const Message& message : prompt.messages) {
    for (const Segment& segment : message.segments) {
      if (segment.provenance == Provenance::selection)
        shown += std::ranges::count(segment.text, '\n');
    }
  }
  return shown >= std::ranges::count(code, '\n');
}

}  // namespace

std::variant<Request, std::string> planned_request(const Session& session, const Action& action,
                                                   const SnapshotPtr& snapshot, Planned planned,
                                                   std::span<const PinnedFile> attached) {
  auto& [plan, prompt, left_out] = planned;
  Request request;
  request.action = action.id;
  request.title = std::string(action.verb) + " " + plan.subject();
  request.options = options_for(session, action, plan.range());
  if (snapshot) request.targets.push_back(target_of(*snapshot, plan.range()));
  if (action.answers == Answers::code) {
    request.form = form_for(plan.range());
    if (!shows_all(prompt, snapshot->text->view(plan.range()))) {
      return plan.subject() +
             " is longer than the model can be shown at once: select the part of it that is to "
             "change";
    }
    if (!attached.empty()) request.form = AnswerForm::hunks;
    if (may_make_files(attached.size(), snapshot->uri, session.folders))
      request.new_files_in = folder_of(snapshot->uri, session.folders);
    for (const ContextPiece& piece : left_out) {
      if (piece.provenance == Provenance::attached)
        return piece.title + " is longer than the model can be shown beside the code";
    }
    for (const PinnedFile& file : attached) {
      const std::string path = display_path(file.uri, session.folders);
      if (!file.open) return path + " cannot be read";
      const Text& text = *file.open->text;
      if (text.str().size() > max_attached_bytes) return path + " is too long to be changed whole";
      request.targets.push_back(target_of(*file.open, {text.begin(), Byte{text.str().size()}}));
    }
  }
  request.prompt = std::move(prompt);
  request.left_out = std::move(left_out);
  return request;
}

}  // namespace hearth::lsp
