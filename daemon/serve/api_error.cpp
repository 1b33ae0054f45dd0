// Statuses and types by what a client is to do: change the request, its key, or try again.
#include "daemon/serve/api_error.hpp"
#include "lsp/protocol/json_text.hpp"

#include <nlohmann/json.hpp>

namespace hearth::daemon {
namespace {

using lsp::dump;
using nlohmann::json;

const char* type_of(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

json or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

}  // namespace

ApiError api_error(const lsp::ModelError& error) {
  switch (error.kind) {
    case lsp::ModelError::Kind::cancelled:
    case lsp::ModelError::Kind::unavailable:
      return {503, error.message, {}, "model_unavailable"};
    case lsp::ModelError::Kind::failed:
      break;
  }
  if (error.message.starts_with("too many requests"))
    return {429, error.message, {}, "too_many_requests"};
  return {500, error.message, {}, "model_failed"};
}

json to_json(const ApiError& error) {
  return {{"error",
           {{"message", error.what()},
            {"type", type_of(error.status)},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

HttpAnswer answer(const ApiError& error) {
  HttpAnswer given{error.status, {{"Content-Type", "application/json"}}, dump(to_json(error))};
  if (error.retry_after.count() > 0)
    given.headers.emplace_back("Retry-After", std::to_string(error.retry_after.count()));
  return given;
}

HttpAnswer answer(const json& value) {
  return {200, {{"Content-Type", "application/json"}}, dump(value)};
}

}  // namespace hearth::daemon
