// What one client said about itself in `initialize`, as the few facts that the server acts on; and
// what the server offers such a client in return.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "lsp/json.hpp"
#include "lsp/text.hpp"

namespace hearth::lsp {

struct Client {
  Encoding encoding = Encoding::utf16;
  bool async_inline = false;  // an inline completion request does not block its editor
  bool work_done_progress = false;
  bool show_document = false;
  bool text_document_content = false;
  bool code_action_literals = false;  // else a code action is a bare Command
  bool disabled_actions = false;
  bool action_tags = false;   // knows the tag LLMGenerated
  std::string root;           // URI of the first workspace folder, or empty
  std::int64_t protocol = 0;  // of hearth/*; 0: not spoken
  std::set<std::string, std::less<>> features;

  bool has(std::string_view feature) const { return features.contains(feature); }
};

// Throws InvalidParams where a client's capabilities or options are of another form.
Client read_client(const Json& initialize_params);

// InitializeResult. `commands` are those of executeCommand, `kinds` those of code actions.
Json initialize_result(const Client& client, std::string_view version, const Json& commands,
                       const Json& kinds);

}  // namespace hearth::lsp
