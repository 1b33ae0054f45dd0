// The prompt inspector in an editor: what a job's model was shown, as a document. The text itself
// is lsp/jobs/prompt_view.hpp's.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class PromptDocument {
 public:
  // The session outlives it.
  explicit PromptDocument(Session& session) : session_(session) {}

  // Shows the document: a virtual one, hearth:/7/prompt.txt, where the client asks for its content,
  // else a private file. Throws InvalidParams where the job has no prompt.
  void show(JobId job);

  static bool is(std::string_view uri);
  // The virtual document's text, later.
  void content(JobId job, Reply& reply);

 private:
  // The text, or why there is none.
  using WithText = std::function<void(const std::string& text, const std::string& failure)>;
  void ask(JobId job, WithText then);
  void written(JobId job, const std::string& text);

  Session& session_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
