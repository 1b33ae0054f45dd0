// What is known of a server: found out by asking it, and heeded by all that is asked of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/client.hpp"
#include "daemon/remote/remote_tokenizer.hpp"
#include "daemon/remote/server_address.hpp"

namespace hearth::daemon {

enum class ServerKind : std::uint8_t { unknown, vllm, sglang, llama_cpp, hearth };
std::string_view name(ServerKind kind);  // "vLLM"; empty: unknown

// How completions in the middle of code are asked for.
enum class RemoteFim : std::uint8_t { none, infill, suffix, tokens };
// How its texts are counted, if they are.
enum class RemoteTokenize : std::uint8_t { none, prompt, content };

struct ServerFacts {
  ServerKind kind = ServerKind::unknown;
  std::string model;               // by which it is asked
  std::vector<std::string> known;  // what it listed
  std::int64_t context = 0;        // 0: it does not say
  RemoteTokenize tokenize = RemoteTokenize::none;
  std::chrono::milliseconds tokenize_time{0};  // that counting one text took
  bool token_ids = false;                      // prompts go as tokens
  std::string tokens_why;                      // they do not, although a tokenizer is configured
  RemoteFim fim = RemoteFim::none;
  bool thinks = false;                   // its template knows thoughts
  bool takes_template_arguments = true;  // chat_template_kwargs; false once it refused them
};

// What it asks may cost the server one token. Throws http::Failure, or SetbackError for what else
// is in the way. `tokenizer`: configured for it; null: none is.
ServerFacts look_at(http::Client& client, const ServerAddress& address, const std::string& model,
                    const RemoteTokenizer* tokenizer);

class SetbackError : public Error {
 public:
  explicit SetbackError(Setback what) : Error(what.sentence), setback(std::move(what)) {}
  Setback setback;
};

// How many tokens a text has, as the server counts: with its `tokenize` way. Throws as look_at().
std::vector<std::int32_t> tokenize_there(http::Client& client, const ServerAddress& address,
                                         const ServerFacts& facts, const std::string& text);

}  // namespace hearth::daemon
