// The table of paths, and the endpoints that only look at the model.
#include "daemon/serve/api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <variant>

#include "daemon/serve/body.hpp"
#include "daemon/serve/chat_format.hpp"
#include "daemon/serve/chat_request.hpp"
#include "daemon/serve/completion_format.hpp"
#include "daemon/serve/completion_request.hpp"
#include "daemon/serve/fim_work.hpp"
#include "daemon/serve/sampling_request.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

// A model's answer as JSON, or why there is none.
template <typename T, typename Show>
lsp::Callback<T> answering(const std::shared_ptr<HttpReply>& reply, Show show) {
  return [reply, show = std::move(show)](const lsp::Result<T>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply->send(answer(api_error(*error)));
    reply->send(answer(show(std::get<T>(result))));
  };
}

// What requests may call the model that runs.
std::vector<std::string> names_of(const ApiOptions& options, const ModelStatus& status) {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  add(status.name);
  add(std::filesystem::path(status.directory).filename().string());
  for (const std::string& alias : options.aliases) add(alias);
  for (const char* always : {"hearth", "default"}) add(always);
  return names;
}

json model_json(const std::string& id, const ModelStatus& status) {
  return {{"id", id},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "hearth"},
          {"meta", {{"n_ctx", status.context}, {"n_ctx_train", status.context}}},
          {"max_model_len", status.context}};
}

// Bytes as text where they are one, else each as a number.
json piece_of(const std::string& bytes) {
  try {
    return json::parse(json(bytes).dump());
  } catch (const json::exception&) {
    json numbers = json::array();
    for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
    return numbers;
  }
}

}  // namespace

Api::Api(lsp::Host& host, TokenModel& model, lsp::Model& completions,
         std::function<ModelStatus()> status, SwitchCalls switching)
    : host_(host),
      model_(model),
      completions_(completions),
      status_(std::move(status)),
      switch_(host, model, std::move(switching)) {}

void Api::check_model(const json& body) {
  const std::string asked = text_member(body, "model").value_or("");
  const ModelStatus status = status_();
  const std::vector<std::string> known = names_of(options_, status);
  if (asked.empty() || std::ranges::find(known, asked) != known.end()) return;
  if (options_.switches && switch_.ask(asked, status.directory)) return;
  if (status.name.empty()) return;  // which is not known while it is being loaded
  std::vector<std::string> all = known;
  if (options_.switches) {
    for (const std::string& name : switch_.names()) {
      if (std::ranges::find(known, name) == known.end()) all.push_back(name);
    }
  }
  throw ApiError(404,
                 fmt::format("The model `{}` does not exist here; known are {} (serve.aliases "
                             "gives the model other names)",
                             asked, fmt::join(all, ", ")),
                 "model", "model_not_found");
}

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> all = {
      {"GET", "/health", &Api::health},
      {"GET", "/v1/health", &Api::health},
      {"GET", "/v1/models", &Api::models},
      {"GET", "/models", &Api::models},
      {"GET", "/props", &Api::props},
      {"POST", "/tokenize", &Api::tokenize},
      {"POST", "/detokenize", &Api::detokenize},
      {"POST", "/apply-template", &Api::apply_template},
      {"POST", "/v1/chat/completions", &Api::chat},
      {"POST", "/chat/completions", &Api::chat},
      {"POST", "/v1/completions", &Api::completion},
      {"POST", "/completion", &Api::raw_completion},
      {"POST", "/infill", &Api::infill},
      {"POST", "/v1/fim/completions", &Api::fim},
  };
  return all;
}

std::unique_ptr<HttpWork> Api::handle(HttpRequest request, std::shared_ptr<HttpReply> reply) {
  try {
    return route(request, reply);
  } catch (const ApiError& refused) {
    reply->send(answer(refused));
  } catch (const json::exception&) {
    reply->send(answer(ApiError(400, "the body is not of the form that this endpoint takes")));
  }
  return nullptr;
}

std::unique_ptr<HttpWork> Api::route(const HttpRequest& request, const Reply& reply) {
  const std::string& method = request.head.method == "HEAD" ? "GET" : request.head.method;
  bool known = false;
  for (const Route& route : routes()) {
    if (route.path != request.head.path) continue;
    known = true;
    if (route.method == method) return (this->*route.endpoint)(request, reply);
  }
  constexpr std::string_view one_model = "/v1/models/";
  if (method == "GET" && request.head.path.starts_with(one_model)) return models(request, reply);
  if (known) throw ApiError(405, request.head.path + " does not take " + method);
  throw ApiError(404, "there is no " + request.head.path + " here", {}, "unknown_url");
}

std::unique_ptr<HttpWork> Api::health(const HttpRequest&, const Reply& reply) {
  const ModelStatus status = status_();
  if (status.state == ModelStatus::State::loading) {
    ApiError loading(503, "the model is being loaded", {}, "loading");
    reply->send(answer(loading));
  } else if (status.state == ModelStatus::State::failed) {
    reply->send(answer(ApiError(503, "the model cannot be loaded", {}, "model_unavailable")));
  } else {
    reply->send(answer(json{{"status", "ok"}}));
  }
  return nullptr;
}

std::unique_ptr<HttpWork> Api::models(const HttpRequest& request, const Reply& reply) {
  constexpr std::string_view one_model = "/v1/models/";
  std::string wanted;
  if (request.head.path.starts_with(one_model)) wanted = request.head.path.substr(one_model.size());
  model_.describe([this, reply, wanted](const lsp::Result<lsp::ModelDescription>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply->send(answer(api_error(*error)));
    const ModelStatus status = status_();
    std::vector<std::string> names{std::get<lsp::ModelDescription>(result).profile.name};
    names.insert(names.end(), options_.aliases.begin(), options_.aliases.end());
    if (!wanted.empty()) {
      if (std::ranges::find(names, wanted) != names.end())
        return reply->send(answer(model_json(wanted, status)));
      return reply->send(
          answer(ApiError(404, "there is no model of this name here", "model", "model_not_found")));
    }
    json data = json::array();
    for (const std::string& name : names) data.push_back(model_json(name, status));
    for (const std::string& name : options_.switches ? switch_.names() : names) {
      const bool listed = std::ranges::find(names, name) != names.end();
      if (!listed)
        data.push_back({{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "hearth"}});
    }
    reply->send(answer(json{{"object", "list"}, {"data", std::move(data)}}));
  });
  return nullptr;
}

std::unique_ptr<HttpWork> Api::props(const HttpRequest&, const Reply& reply) {
  model_.describe([this, reply](const lsp::Result<lsp::ModelDescription>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply->send(answer(api_error(*error)));
    const auto& profile = std::get<lsp::ModelDescription>(result).profile;
    const ModelStatus status = status_();
    reply->send(answer(json{{"default_generation_settings", {{"n_ctx", profile.context_tokens}}},
                            {"total_slots", 1},
                            {"model_alias", profile.name},
                            {"model_path", status.directory},
                            {"chat_template", status.chat_template},
                            {"modalities", {{"vision", false}, {"audio", false}}}}));
  });
  return nullptr;
}

std::unique_ptr<HttpWork> Api::tokenize(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  auto text = text_member(body, "content");
  if (!text) text = text_member(body, "prompt");  // as vLLM has it
  if (!text) throw bad_member("content", "is missing: the text to be tokenized");
  const bool special = flag_member(body, "parse_special").value_or(true);
  const bool pieces = flag_member(body, "with_pieces").value_or(false);
  const std::int64_t context = status_().context;
  const auto show = [context](const json& tokens) {
    return json{{"tokens", tokens}, {"count", tokens.size()}, {"max_model_len", context}};
  };
  if (!pieces) {
    model_.tokenize(std::move(*text), special, answering<std::vector<std::int32_t>>(reply, show));
    return nullptr;
  }
  model_.tokenize(std::move(*text), special,
                  [this, reply, show](const lsp::Result<std::vector<std::int32_t>>& result) {
                    if (const auto* error = std::get_if<lsp::ModelError>(&result))
                      return reply->send(answer(api_error(*error)));
                    const auto& tokens = std::get<std::vector<std::int32_t>>(result);
                    model_.token_bytes(
                        tokens,
                        answering<std::vector<std::string>>(
                            reply, [show, tokens](const std::vector<std::string>& all) {
                              json named = json::array();
                              for (std::size_t i = 0; i < all.size(); ++i)
                                named.push_back({{"id", tokens[i]}, {"piece", piece_of(all[i])}});
                              return show(named);
                            }));
                  });
  return nullptr;
}

std::unique_ptr<HttpWork> Api::detokenize(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  const json* list = lsp::find(body, "tokens");
  if (list == nullptr || !list->is_array()) throw bad_member("tokens", "is no list of tokens");
  model_.token_bytes(
      tokens_of(*list, "tokens"),
      answering<std::vector<std::string>>(reply, [](const std::vector<std::string>& all) {
        std::string text;
        for (const std::string& bytes : all) text += bytes;
        return json{{"content", text}, {"prompt", text}};
      }));
  return nullptr;
}

// llama.cpp's: the prompt that a chat would be, as a text.
std::unique_ptr<HttpWork> Api::apply_template(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  ChatRequest asked = read_chat(body, request.body, options_, request.connection);
  model_.inspect(std::move(asked.answer.prompt), asked.answer.options,
                 answering<std::vector<lsp::PromptPiece>>(
                     reply, [](const std::vector<lsp::PromptPiece>& pieces) {
                       std::string text;
                       for (const lsp::PromptPiece& piece : pieces) text += piece.text;
                       return json{{"prompt", text}};
                     }));
  return nullptr;
}

std::unique_ptr<HttpWork> Api::chat(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  const ModelStatus status = status_();
  check_model(body);
  ChatRequest asked = read_chat(body, request.body, options_, request.connection);
  ChatStyle style{text_member(body, "model").value_or(status.name),
                  host_.time(),
                  asked.usage,
                  asked.tools,
                  asked.answer.begun,
                  asked.either};
  const Turns::Match match = turns_.find(asked.answer.prompt);
  if (!match.first_missing.empty()) {
    host_.log(lsp::LogLevel::info,
              "serve: an answer that was sent back is read as it is sent: " + match.first_missing);
  }
  const auto format = std::make_shared<ChatFormat>(std::move(style));
  const bool stops = asked.stops;
  auto remember = [this, format, stops, place = match.place,
                   thinking = asked.answer.options.asks_to_think()](const lsp::Answer& given) {
    // Its tokens say more than the client was shown.
    if (given.at_stop_string && stops) return;
    turns_.remember(place, format->seen(given), thinking, given.generated);
  };
  return std::make_unique<Answering>(host_, Answerers{model_, &model_}, reply,
                                     std::move(asked.answer), format, std::move(remember));
}

std::unique_ptr<HttpWork> Api::completion(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  const ModelStatus status = status_();
  check_model(body);
  CompletionRequest asked = read_completion(body, options_, request.connection);
  const std::string model = text_member(body, "model").value_or(status.name);
  auto format = std::make_unique<CompletionFormat>(model, host_.time(), asked.usage);
  if (asked.answer.prompt.kind == lsp::Prompt::Kind::fill_in_the_middle)
    return std::make_unique<FimWork>(host_, completions_, reply, std::move(asked),
                                     std::move(format));
  return std::make_unique<Answering>(host_, Answerers{model_, &model_}, reply,
                                     std::move(asked.answer), std::move(format));
}

// Mistral's, which Continue uses: answers look like those of a chat.
std::unique_ptr<HttpWork> Api::fim(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  const ModelStatus status = status_();
  check_model(body);
  CompletionRequest asked = read_completion(body, options_, request.connection, true);
  ChatStyle style{text_member(body, "model").value_or(status.name), host_.time(), asked.usage, {}};
  return std::make_unique<FimWork>(host_, completions_, reply, std::move(asked),
                                   std::make_shared<ChatFormat>(std::move(style)));
}

std::unique_ptr<HttpWork> Api::raw_completion(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  CompletionRequest asked = read_infill(body, options_, request.connection, false);
  auto format = std::make_unique<InfillFormat>(status_().name, asked.indent, asked.fields);
  return std::make_unique<Answering>(host_, Answerers{model_, &model_}, reply,
                                     std::move(asked.answer), std::move(format));
}

std::unique_ptr<HttpWork> Api::infill(const HttpRequest& request, const Reply& reply) {
  const json body = read_body(request.body);
  CompletionRequest asked = read_infill(body, options_, request.connection, true);
  auto format = std::make_unique<InfillFormat>(status_().name, asked.indent, asked.fields);
  return std::make_unique<FimWork>(host_, completions_, reply, std::move(asked), std::move(format));
}

}  // namespace hearth::daemon
