// A request that is refused or failed, as clients of OpenAI's endpoints expect to be told:
//   {"error": {"message": "a sentence", "type": "invalid_request_error", "param": "n",
//              "code": "unsupported_value"}}
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>

#include "daemon/serve/http.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

struct ApiError : std::runtime_error {
  ApiError(int http_status, const std::string& message, std::string field = {},
           std::string reason = {})
      : std::runtime_error(message),
        status(http_status),
        param(std::move(field)),
        code(std::move(reason)) {}

  int status;         // of HTTP
  std::string param;  // the field that is at fault, "messages.2.role"; empty: none is
  std::string code;   // for programs, "context_length_exceeded"; empty: none
  std::chrono::seconds retry_after{0};  // when to ask again; 0: not said
};

// What a model's failure is to a client.
ApiError api_error(const lsp::ModelError& error);

nlohmann::json to_json(const ApiError& error);
HttpAnswer answer(const ApiError& error);
HttpAnswer answer(const nlohmann::json& value);  // 200

}  // namespace hearth::daemon
