// What one client said about itself in `initialize`, as the few facts that the server acts on; and
// what the server offers such a client in return.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/protocol/json.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// Whether a client's editor goes on while it waits for an inline completion.
enum class InlineWaiting : std::uint8_t {
  blocks,        // it is known to stand still
  unknown,       // its behaviour will tell
  asynchronous,  // it goes on
};

struct Client {
  Encoding encoding = Encoding::utf16;
  InlineWaiting inline_waiting = InlineWaiting::unknown;
  // Keeps lines without their endings and adds those when it sends or writes a file, but inserts a
  // completion as it comes.
  bool adds_line_endings = false;
  bool work_done_progress = false;
  bool show_document = false;
  bool asks_person = false;  // shows window/showMessageRequest and tells what was chosen
  bool text_document_content = false;
  bool code_action_literals = false;  // else a code action is a bare Command
  bool disabled_actions = false;
  bool action_tags = false;           // knows the tag LLMGenerated
  bool apply_edit = false;            // takes workspace/applyEdit
  bool document_changes = false;      // with the version that an edit is for
  bool change_annotations = false;    // asks before it applies one
  bool creates_files = false;         // takes CreateFile, which overwrites nothing
  bool edit_metadata = false;         // is told that an edit is a refactoring
  std::string editor;                 // its process and name; empty: it names none
  std::vector<std::string> folders;   // URIs of the workspace's, at its start
  bool workspace_folders = false;     // tells of those that come and go
  Json settings;                      // of initializationOptions; null: none
  bool registers_watchers = false;    // of files, when it is asked to
  std::int64_t protocol = 0;          // of hearth/*; 0: not spoken
  std::int64_t refused_protocol = 0;  // of hearth/*, too old to be served; 0: none
  std::set<std::string, std::less<>> features;

  bool has(std::string_view feature) const { return features.contains(feature); }
};

// Throws InvalidParams where a client's capabilities or options are of another form.
Client read_client(const Json& initialize_params);

// Takes the params of workspace/didChangeWorkspaceFolders. Throws InvalidParams.
void change_folders(const Json& params, std::vector<std::string>& folders);

// InitializeResult. `commands` are those of executeCommand, `kinds` those of code actions.
Json initialize_result(const Client& client, std::string_view version, const Json& commands,
                       const Json& kinds);

}  // namespace hearth::lsp
