// Prompts as JSON: {"kind": "chat", "messages": [{"role", "segments"}]}, an assistant's message
// with "generated": [tokens] where they are known and "thinking" where that was said for it, or
// with "thought" and "toolCalls": [{"name", "arguments"}] where it has them, and "tools": [their
// declarations] where there are some; or {"kind": "fill_in_the_middle", "prefix": […], "suffix":
// […]}, or {"kind": "text", "prefix": […]}, with "tokens" where these stand in its place; a segment
// is {"text", "provenance"} with "boundary": true where one lies, and "why" where it is known.
#include "lsp/protocol/prompt_json.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "lsp/protocol/json.hpp"

namespace hearth::lsp {
namespace {

const std::array provenances{
    name(Provenance::system),    name(Provenance::project),     name(Provenance::outline),
    name(Provenance::imports),   name(Provenance::signatures),  name(Provenance::file),
    name(Provenance::selection), name(Provenance::attached),    name(Provenance::diagnostics),
    name(Provenance::edits),     name(Provenance::instruction), name(Provenance::answer)};
const std::array roles{name(Role::system), name(Role::user), name(Role::assistant),
                       name(Role::tool)};
constexpr std::array<std::string_view, 3> kinds{"chat", "fill_in_the_middle", "text"};

Json segments_json(const std::vector<Segment>& segments) {
  Json array = Json::array();
  for (const Segment& segment : segments) {
    Json json{{"text", segment.text}, {"provenance", enum_name(provenances, segment.provenance)}};
    if (segment.boundary) json["boundary"] = true;
    if (!segment.why.empty()) json["why"] = segment.why;
    array.push_back(std::move(json));
  }
  return array;
}

// Empty where there is none: what was written before has no "why".
std::string text_at(const Json& object, const char* name) {
  return find(object, name) != nullptr ? string_member(object, name) : std::string();
}

std::vector<Segment> segments_member(const Json& object, const char* name) {
  std::vector<Segment> segments;
  for (const Json& json : array_member(object, name)) {
    segments.push_back({string_member(json, "text"),
                        enum_member<Provenance>(provenances, json, "provenance"),
                        flag(json, {"boundary"}), text_at(json, "why")});
  }
  return segments;
}

}  // namespace

void to_json(Json& json, const Prompt& prompt) {
  json = {{"kind", enum_name(kinds, prompt.kind)}};
  if (prompt.kind != Prompt::Kind::chat) {
    json["prefix"] = segments_json(prompt.prefix);
    if (prompt.kind == Prompt::Kind::fill_in_the_middle)
      json["suffix"] = segments_json(prompt.suffix);
    if (!prompt.tokens.empty()) json["tokens"] = prompt.tokens;
    return;
  }
  Json& messages = json["messages"] = Json::array();
  for (const Message& message : prompt.messages) {
    messages.push_back(
        {{"role", name(message.role)}, {"segments", segments_json(message.segments)}});
    if (!message.generated.empty()) messages.back()["generated"] = message.generated;
    if (message.thinking) messages.back()["thinking"] = *message.thinking;
    if (message.thought) messages.back()["thought"] = *message.thought;
    for (const ToolCall& call : message.tool_calls) {
      messages.back()["toolCalls"].push_back({{"name", call.name}, {"arguments", call.arguments}});
    }
  }
  if (!prompt.tools.empty()) json["tools"] = prompt.tools;
}

void from_json(const Json& json, Prompt& prompt) {
  prompt = {};
  prompt.kind = enum_member<Prompt::Kind>(kinds, json, "kind");
  if (prompt.kind != Prompt::Kind::chat) {
    prompt.prefix = segments_member(json, "prefix");
    if (prompt.kind == Prompt::Kind::fill_in_the_middle)
      prompt.suffix = segments_member(json, "suffix");
    if (const Json* tokens = find(json, "tokens")) tokens->get_to(prompt.tokens);
    return;
  }
  for (const Json& message : array_member(json, "messages")) {
    prompt.messages.push_back(
        {enum_member<Role>(roles, message, "role"), segments_member(message, "segments")});
    if (const Json* generated = find(message, "generated"))
      generated->get_to(prompt.messages.back().generated);
    if (find(message, "thinking") != nullptr)
      prompt.messages.back().thinking = flag(message, {"thinking"});
    if (find(message, "thought") != nullptr)
      prompt.messages.back().thought = string_member(message, "thought");
    if (find(message, "toolCalls") == nullptr) continue;
    for (const Json& call : array_member(message, "toolCalls")) {
      prompt.messages.back().tool_calls.push_back(
          {string_member(call, "name"), string_member(call, "arguments")});
    }
  }
  if (const Json* tools = find(json, "tools")) tools->get_to(prompt.tools);
}

void to_json(Json& json, const ContextPiece& piece) {
  json = {{"provenance", enum_name(provenances, piece.provenance)},
          {"title", piece.title},
          {"why", piece.why},
          {"leftOut", piece.left_out},
          {"tokens", piece.tokens}};
}

void from_json(const Json& json, ContextPiece& piece) {
  piece = {enum_member<Provenance>(provenances, json, "provenance"), string_member(json, "title"),
           string_member(json, "why"), string_member(json, "leftOut"),
           integer_member(json, "tokens")};
}

}  // namespace hearth::lsp
