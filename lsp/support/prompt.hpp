// What the model should see, as a value: segments with their provenance and boundaries, never a
// special token and never a template. Rendering belongs to the model behind lsp::Model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::lsp {

enum class Provenance : std::uint8_t {
  system,       // the profile's system line
  project,      // what holds for the whole project
  outline,      // of the file
  imports,      // of the file
  signatures,   // of other files' declarations that the code uses
  file,         // text around the place that is asked about
  selection,    // the code that is asked about
  attached,     // files that the person named with what they ask
  diagnostics,  // from the client
  edits,        // lines that were changed a moment ago
  instruction,  // the task's wording
  answer,       // the model's own, to an earlier question
};

std::string_view name(Provenance provenance);  // "selection"

// A run of text from one source. `boundary`: what comes before this segment's end is expected to
// stay the same in later prompts, so a state is worth keeping there.
struct Segment {
  std::string text;
  Provenance provenance = Provenance::file;
  bool boundary = false;
  std::string why = {};  // it is here, for people; may be empty
};

// What a planner weighed for a prompt: shown, or left out for a reason. For people who look at a
// prompt.
struct ContextPiece {
  Provenance provenance = Provenance::file;
  std::string title;     // "take in src/shelf.py"
  std::string why;       // it would help
  std::string left_out;  // why it is not in the prompt; empty: it is
  std::int64_t tokens = 0;
};

// tool: what came of a call that the assistant made in the turn before.
enum class Role : std::uint8_t { system, user, assistant, tool };
std::string_view name(Role role);

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON object
  std::string id = {};    // by which a client knows it; the model is not shown it
};

struct Message {
  Role role = Role::user;
  std::vector<Segment> segments;
  // Of an assistant's turn: the tokens that the model wrote, its thought too, as Answer::generated
  // had them. The turn is rendered from these, so that what was computed for it stays in use; the
  // segments are what people see of it. Opaque, and empty where they are not known.
  std::vector<std::int32_t> generated = {};
  // GenerateOptions::asks_to_think() of that turn: what stands before those tokens depends on it.
  std::optional<bool> thinking = {};
  // Of an assistant's turn whose tokens are not known: its thought, and the tools that it called.
  std::optional<std::string> thought = {};
  std::vector<ToolCall> tool_calls = {};
};

struct Prompt {
  // text: the model goes on with it, without a template.
  enum class Kind : std::uint8_t { chat, fill_in_the_middle, text };
  Kind kind = Kind::chat;
  std::vector<Message> messages;  // chat
  std::vector<Segment> prefix;    // text; fill in the middle: what is before the cursor, in order
  std::vector<Segment> suffix;    // fill in the middle: and after it
  // text: in place of the prefix, as tokens of this very model. Opaque; empty: none.
  std::vector<std::int32_t> tokens = {};
  // chat: the tools that may be called, the declaration of each as a JSON object.
  std::vector<std::string> tools = {};
};

std::string text_of(const std::vector<Segment>& segments);
// Of all its texts, without what a template adds.
std::size_t bytes_of(const Prompt& prompt);

}  // namespace hearth::lsp
