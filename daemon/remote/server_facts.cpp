// The questions that find out what a server can do, each of which it may not know.
#include "daemon/remote/server_facts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/platform/format.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using lsp::find;
using lsp::Json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_bytes = std::size_t{16} << 20;
constexpr std::int64_t most_context = std::int64_t{1} << 30;
constexpr std::size_t most_models = 1000;
constexpr std::size_t longest_name = 300;
// Of a text that goes behind the cursor, to see whether it is read.
constexpr int probe_lines = 32;

struct Reply {
  http::Head head;
  Json body;  // null: none, or no JSON
  RemoteError error;
};

std::string text_of(const Json& object, const char* name) {
  const Json* value = find(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

std::int64_t context_of(const Json& object, const char* name) {
  const Json* value = find(object, name);
  if (value == nullptr || !value->is_number_integer()) return 0;
  const auto context = value->get<std::int64_t>();
  return context > 0 && context < most_context ? context : 0;
}

class Looking {
 public:
  Looking(http::Client& client, const ServerAddress& address)
      : client_(client), address_(address) {}

  Reply ask(const http::Request& request) {
    Reply reply{client_.begin(request), {}, {}};
    std::string body = client_.read_all(most_bytes);
    if (reply.head.status != 200) {
      reply.error = read_error(reply.head.status, std::move(body));
      return reply;
    }
    try {
      reply.body = lsp::parse_json(std::move(body));
    } catch (const lsp::BadJson&) {
      // What it has there is something else.
    }
    return reply;
  }
  // A server that is away or refuses everything is no server that cannot do one thing.
  std::optional<Json> try_out(const http::Request& request) {
    const Reply reply = ask(request);
    if (reply.head.status == 200) return reply.body;
    const Setback back = setback(reply);
    if (back.kind == Setback::Kind::away && reply.head.status != 500 && reply.head.status != 501)
      throw SetbackError(back);
    return std::nullopt;
  }
  Setback setback(const Reply& reply) const {
    return address_.setback(reply.head, reply.error, std::chrono::system_clock::now());
  }
  [[noreturn]] void refuse(std::string sentence) const {
    Setback back;
    back.kind = Setback::Kind::refused;
    back.sentence = back.plain = std::move(sentence);
    throw SetbackError(std::move(back));
  }

  void look_for_model(ServerFacts& facts, const std::string& wanted);
  void look_at_properties(ServerFacts& facts);
  void look_for_tokenize(ServerFacts& facts);
  void compare_tokens(ServerFacts& facts, const RemoteTokenizer& tokenizer);
  void look_for_fim(ServerFacts& facts, const RemoteTokenizer* tokenizer);

 private:
  bool counts_suffix(const ServerFacts& facts);
  bool takes_tokens(const ServerFacts& facts, const RemoteTokenizer& tokenizer);

  http::Client& client_;
  const ServerAddress& address_;
};

ServerKind kind_of(const Json& model, const http::Head& head) {
  const std::string owner = text_of(model, "owned_by");
  if (owner == "hearth") return ServerKind::hearth;
  if (owner == "vllm") return ServerKind::vllm;
  if (owner == "sglang") return ServerKind::sglang;
  if (owner == "llamacpp" || head.find("Server") == "llama.cpp") return ServerKind::llama_cpp;
  return ServerKind::unknown;
}

void Looking::look_for_model(ServerFacts& facts, const std::string& wanted) {
  const Reply reply = ask(address_.get_api("/models"));
  facts.model = wanted;
  if (reply.head.status == 404 && !wanted.empty()) return;  // it lists nothing
  if (reply.head.status == 404)
    refuse(fmt::format("{} has no {}/models: is that the address of an OpenAI-compatible API?",
                       address_.place(), address_.shown()));
  if (reply.head.status != 200) {
    Setback back = setback(reply);
    if (back.kind == Setback::Kind::failed) back.kind = Setback::Kind::refused;
    throw SetbackError(std::move(back));
  }
  const Json* list = find(reply.body, "data");
  if (list == nullptr || !list->is_array())
    refuse(fmt::format("{} lists no models at {}/models", address_.place(), address_.shown()));
  const Json* chosen = nullptr;
  for (const Json& model : *list) {
    const std::string id = text_of(model, "id");
    if (id.empty() || id.size() > longest_name || facts.known.size() >= most_models) continue;
    facts.known.push_back(on_one_line(id));
    if (chosen == nullptr && (wanted.empty() || id == wanted)) chosen = &model;
  }
  if (chosen == nullptr) {
    if (facts.known.empty()) refuse(fmt::format("{} has no model", address_.place()));
    refuse(fmt::format("{} has no model \"{}\"; it has {}", address_.place(), wanted,
                       fmt::join(facts.known, ", ")));
  }
  facts.model = text_of(*chosen, "id");
  facts.kind = kind_of(*chosen, reply.head);
  facts.context = context_of(*chosen, "max_model_len");
  const Json* meta = find(*chosen, "meta");
  if (facts.context == 0 && meta != nullptr) facts.context = context_of(*meta, "n_ctx");
}

// llama.cpp's, which says how much of a model's context is used here.
void Looking::look_at_properties(ServerFacts& facts) {
  if (facts.kind == ServerKind::vllm || facts.kind == ServerKind::sglang) return;
  const auto properties = try_out(address_.get_root("/props"));
  if (!properties) return;
  if (const Json* settings = find(*properties, "default_generation_settings")) {
    const std::int64_t context = context_of(*settings, "n_ctx");
    if (context > 0) facts.context = context;
    if (context > 0 && facts.kind == ServerKind::unknown) facts.kind = ServerKind::llama_cpp;
  }
  facts.thinks = text_of(*properties, "chat_template").find("<think>") != std::string::npos;
}

void Looking::look_for_tokenize(ServerFacts& facts) {
  constexpr std::string_view text = "two words";
  for (const RemoteTokenize form : {RemoteTokenize::prompt, RemoteTokenize::content}) {
    facts.tokenize = form;
    const auto begun = Clock::now();
    try {
      if (!tokenize_there(client_, address_, facts, std::string(text)).empty()) {
        facts.tokenize_time = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - begun);
        return;
      }
    } catch (const SetbackError& failed) {
      if (failed.setback.kind == Setback::Kind::away && failed.setback.status / 100 != 5) throw;
    }
  }
  facts.tokenize = RemoteTokenize::none;
}

// The same ids for the same text is what a prompt of tokens takes for granted.
void Looking::compare_tokens(ServerFacts& facts, const RemoteTokenizer& tokenizer) {
  constexpr std::array<std::string_view, 4> probes{
      "The quick brown fox, 1234567 times.\n\n\tIt isn't lazy.",
      "def f(x: int) -> str:\n    return f\"{x:>08}\"  # TODO\r\n\t\tif (a!=b) { c += d->e[0]; }\n",
      "Größe — 数据 مرحبا 🙂👩‍💻 naïve e\u0301",
      "<|im_start|>user\n<think>\n</think><|im_end|><|endoftext|><|fim_prefix|>a<|fim_suffix|>"};
  if (facts.tokenize == RemoteTokenize::none) {
    facts.tokens_why = address_.place() +
                       " does not say how it makes tokens (/tokenize), so the configured tokenizer "
                       "cannot be compared with its own";
    return;
  }
  for (const std::string_view probe : probes) {
    const auto there = tokenize_there(client_, address_, facts, std::string(probe));
    if (there == tokenizer.tokenizer().encode_with_special(probe)) continue;
    facts.tokens_why =
        fmt::format("the configured tokenizer is not that of {}: \"{}\" becomes other tokens there",
                    address_.place(), on_one_line(probe.substr(0, 20)));
    return;
  }
  facts.token_ids = takes_tokens(facts, tokenizer);
  if (!facts.token_ids)
    facts.tokens_why = address_.place() + " does not take prompts of tokens (/v1/completions)";
}

bool Looking::takes_tokens(const ServerFacts& facts, const RemoteTokenizer& tokenizer) {
  const auto tokens = tokenizer.tokenizer().encode("Some words, to be counted.");
  const auto answer = try_out(address_.post_api(
      "/completions", {{"model", facts.model}, {"prompt", tokens}, {"max_tokens", 1}}));
  if (!answer) return false;
  const Json* usage = find(*answer, "usage");
  const Json* counted = usage == nullptr ? nullptr : find(*usage, "prompt_tokens");
  return counted != nullptr && *counted == tokens.size();
}

void Looking::look_for_fim(ServerFacts& facts, const RemoteTokenizer* tokenizer) {
  if (facts.token_ids && tokenizer != nullptr &&
      (engine::has_fim_tokens(tokenizer->tokenizer()) ||
       tokenizer->profile().fim_order == engine::FimOrder::chat)) {
    facts.fim = RemoteFim::tokens;
    return;
  }
  const bool may_infill = facts.kind != ServerKind::vllm && facts.kind != ServerKind::sglang;
  if (may_infill) {
    const auto infill = try_out(address_.post_root(
        "/infill", {{"input_prefix", "a"}, {"input_suffix", "b"}, {"n_predict", 0}}));
    if (infill && find(*infill, "content") != nullptr) {
      facts.fim = RemoteFim::infill;
      return;
    }
  }
  if (counts_suffix(facts)) facts.fim = RemoteFim::suffix;
}

// Some refuse a suffix, others do as if there was none.
bool Looking::counts_suffix(const ServerFacts& facts) {
  std::string suffix;
  for (int i = 0; i < probe_lines; ++i) suffix += "x = 1\n";
  const auto answer = try_out(address_.post_api("/completions", {{"model", facts.model},
                                                                 {"prompt", "y = "},
                                                                 {"suffix", std::move(suffix)},
                                                                 {"max_tokens", 1}}));
  if (!answer) return false;
  const Json* usage = find(*answer, "usage");
  const Json* counted = usage == nullptr ? nullptr : find(*usage, "prompt_tokens");
  return counted != nullptr && counted->is_number_integer() && *counted > probe_lines;
}

}  // namespace

std::string_view name(ServerKind kind) {
  switch (kind) {
    case ServerKind::unknown:
      return "";
    case ServerKind::vllm:
      return "vLLM";
    case ServerKind::sglang:
      return "SGLang";
    case ServerKind::llama_cpp:
      return "llama.cpp";
    case ServerKind::hearth:
      return "hearth";
  }
  return "";
}

std::vector<std::int32_t> tokenize_there(http::Client& client, const ServerAddress& address,
                                         const ServerFacts& facts, const std::string& text) {
  const bool content = facts.tokenize == RemoteTokenize::content;
  http::Request request = address.post_root(
      "/tokenize",
      content ? Json{{"content", text}, {"add_special", false}}
              : Json{{"model", facts.model}, {"prompt", text}, {"add_special_tokens", false}});
  request.repeatable = true;
  Looking looking(client, address);
  const Reply reply = looking.ask(request);
  if (reply.head.status != 200) throw SetbackError(looking.setback(reply));
  std::vector<std::int32_t> tokens;
  const Json* list = find(reply.body, "tokens");
  if (list == nullptr || !list->is_array()) return tokens;
  for (const Json& token : *list) {
    const bool fits = token.is_number_unsigned() &&
                      token.get<std::uint64_t>() <=
                          static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    if (!fits) throw SetbackError(address.malformed("its /tokenize answers with no tokens"));
    tokens.push_back(token.get<std::int32_t>());
  }
  return tokens;
}

ServerFacts look_at(http::Client& client, const ServerAddress& address, const std::string& model,
                    const RemoteTokenizer* tokenizer) {
  Looking looking(client, address);
  ServerFacts facts;
  looking.look_for_model(facts, model);
  looking.look_at_properties(facts);
  looking.look_for_tokenize(facts);
  if (tokenizer != nullptr) {
    looking.compare_tokens(facts, *tokenizer);
    facts.thinks |= tokenizer->profile().thinking;
  }
  looking.look_for_fim(facts, tokenizer);
  return facts;
}

}  // namespace hearth::daemon
