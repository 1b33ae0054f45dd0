// Members by the names of OpenAI's endpoints, and others' only for the servers that have them: some
// refuse what they do not know.
#include "daemon/remote/request_body.hpp"

#include <algorithm>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/remote/safe_text.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using lsp::Prompt;
using nlohmann::json;

bool is_open_engine(ServerKind kind) {
  return kind != ServerKind::unknown;
}

json parsed(const std::string& text, const char* what) {
  try {
    return lsp::parse_json(std::string(text));
  } catch (const lsp::BadJson& fault) {
    throw Error(std::string(what) + ": " + fault.what());
  }
}

void add_sampling(json& body, const ServerFacts& facts, const lsp::GenerateOptions& options) {
  const lsp::SamplingChoice& chosen = options.sampling_choice;
  const auto add = [&body](const char* name, const auto& value) {
    if (value) body[name] = *value;
  };
  if (options.sampling == lsp::Sampling::greedy) body["temperature"] = 0;
  add("temperature", chosen.temperature);
  add("top_p", chosen.top_p);
  add("presence_penalty", chosen.presence_penalty);
  add("frequency_penalty", chosen.frequency_penalty);
  if (body.value("temperature", 1.0) != 0) {
    constexpr std::uint64_t widest = 0x7fff'ffff;  // that every server takes
    body["seed"] = options.seed & widest;
  }
  if (!chosen.bias.empty()) {
    json bias = json::object();
    for (const auto& [token, value] : chosen.bias) bias[std::to_string(token)] = value;
    body["logit_bias"] = std::move(bias);
  }
  if (!is_open_engine(facts.kind)) return;
  add("top_k", chosen.top_k);
  add("min_p", chosen.min_p);
  const bool llama = facts.kind == ServerKind::llama_cpp;
  add(llama ? "repeat_penalty" : "repetition_penalty", chosen.repetition_penalty);
}

json streaming(const ServerFacts& facts, const lsp::GenerateOptions& options,
               std::int64_t max_tokens) {
  json body{{"model", facts.model},
            {"max_tokens", max_tokens},
            {"stream", true},
            {"stream_options", {{"include_usage", true}}}};
  if (!options.stop_strings.empty()) body["stop"] = options.stop_strings;
  add_sampling(body, facts, options);
  return body;
}

json call_json(const lsp::ToolCall& call, const std::string& id) {
  return {{"id", id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

// A result belongs to the call at its place among those of the turn before it.
json messages_json(const std::vector<lsp::Message>& messages) {
  json list = json::array();
  std::vector<std::string> open;  // calls without a result
  std::size_t calls = 0;
  for (const lsp::Message& message : messages) {
    json said{{"role", std::string(lsp::name(message.role))},
              {"content", broken_up(lsp::text_of(message.segments))}};
    if (message.role == lsp::Role::tool && !open.empty()) {
      said["tool_call_id"] = open.front();
      open.erase(open.begin());
    }
    if (!message.tool_calls.empty()) {
      open.clear();
      said["tool_calls"] = json::array();
      for (const lsp::ToolCall& call : message.tool_calls) {
        ++calls;
        open.push_back(call.id.empty() ? "call_" + std::to_string(calls) : call.id);
        said["tool_calls"].push_back(call_json(call, open.back()));
      }
    }
    list.push_back(std::move(said));
  }
  return list;
}

AskedBody body_of_chat(const ServerFacts& facts, const Prompt& prompt,
                       const lsp::GenerateOptions& options, std::int64_t max_tokens) {
  AskedBody asked{"/chat/completions", true, streaming(facts, options, max_tokens),
                  RemoteForm::chat};
  asked.body["messages"] = messages_json(prompt.messages);
  if (!prompt.tools.empty()) {
    asked.body["tools"] = json::array();
    for (const std::string& tool : prompt.tools)
      asked.body["tools"].push_back(parsed(tool, "a tool's declaration"));
  }
  const std::optional<bool> thinking = options.asks_to_think();
  if (thinking && facts.takes_template_arguments)
    asked.body["chat_template_kwargs"] = {{"enable_thinking", *thinking}};
  if (!options.json_schema.empty()) {
    asked.body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema",
         {{"name", "answer"},
          {"strict", true},
          {"schema", parsed(options.json_schema, "the answer's schema")}}}};
  }
  return asked;
}

}  // namespace

AskedBody body_of_text(const ServerFacts& facts, const Prompt& prompt,
                       const lsp::GenerateOptions& options, std::int64_t max_tokens) {
  if (prompt.kind == Prompt::Kind::chat) return body_of_chat(facts, prompt, options, max_tokens);
  if (!prompt.tokens.empty())
    throw Error(facts.model + " is asked in text here: its tokens are not known");
  const std::string before = broken_up(lsp::text_of(prompt.prefix));
  if (prompt.kind == Prompt::Kind::text) {
    AskedBody asked{"/completions", true, streaming(facts, options, max_tokens),
                    RemoteForm::completion};
    asked.body["prompt"] = before;
    return asked;
  }
  const std::string behind = broken_up(lsp::text_of(prompt.suffix));
  switch (facts.fim) {
    case RemoteFim::infill: {
      AskedBody asked{"/infill", false, streaming(facts, options, max_tokens), RemoteForm::infill};
      asked.body.erase("max_tokens");
      asked.body.erase("stream_options");
      asked.body["n_predict"] = max_tokens;
      asked.body["input_prefix"] = before;
      asked.body["input_suffix"] = behind;
      asked.body["cache_prompt"] = true;
      return asked;
    }
    case RemoteFim::suffix: {
      AskedBody asked{"/completions", true, streaming(facts, options, max_tokens),
                      RemoteForm::completion};
      asked.body["prompt"] = before;
      asked.body["suffix"] = behind;
      return asked;
    }
    case RemoteFim::none:
    case RemoteFim::tokens:
      break;
  }
  throw Error(facts.model + " is not known to complete in the middle of code");
}

AskedBody body_of_tokens(const ServerFacts& facts, std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> stop_tokens,
                         const lsp::GenerateOptions& options, std::int64_t max_tokens) {
  AskedBody asked{"/completions", true, streaming(facts, options, max_tokens),
                  RemoteForm::completion};
  asked.body["prompt"] = tokens;
  const bool told = facts.kind == ServerKind::vllm || facts.kind == ServerKind::sglang;
  if (told && !stop_tokens.empty()) asked.body["stop_token_ids"] = stop_tokens;
  if (facts.kind == ServerKind::vllm) asked.body["return_token_ids"] = true;
  return asked;
}

std::vector<lsp::PromptPiece> pieces_of_text(const Prompt& prompt, double bytes_per_token) {
  std::vector<lsp::PromptPiece> pieces;
  const auto add = [&](const std::vector<lsp::Segment>& segments) {
    for (const lsp::Segment& segment : segments) {
      lsp::PromptPiece piece{broken_up(segment.text), 0, segment.provenance, segment.why};
      piece.tokens =
          static_cast<std::int64_t>(static_cast<double>(piece.text.size()) / bytes_per_token);
      if (piece.text != segment.text) {
        piece.why += piece.why.empty() ? "" : "; ";
        piece.why += "what could be a special token is broken up by an invisible character";
      }
      if (!piece.text.empty()) pieces.push_back(std::move(piece));
    }
  };
  const auto add_template = [&](const std::string& text) {
    pieces.push_back({text, 0, std::nullopt, "the template is the server's"});
  };
  for (const lsp::Message& message : prompt.messages) {
    add_template("[" + std::string(lsp::name(message.role)) + "]\n");
    add(message.segments);
  }
  add(prompt.prefix);
  if (prompt.kind == lsp::Prompt::Kind::fill_in_the_middle) add_template("[the cursor]");
  add(prompt.suffix);
  return pieces;
}

}  // namespace hearth::daemon
