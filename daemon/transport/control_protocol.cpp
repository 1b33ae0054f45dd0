// Hello and Welcome as JSON.
#include "daemon/transport/control_protocol.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "daemon/platform/error.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using lsp::dump;
using nlohmann::json;

constexpr std::array<std::string_view, 2> kinds{"lsp", "control"};
constexpr std::array<std::string_view, 20> requests{
    "status",    "jobs",       "job",        "prompt",   "followJob", "pauseJob", "resumeJob",
    "cancelJob", "applyJob",   "dismissJob", "retryJob", "forget",    "stop",     "openDoor",
    "closeDoor", "releaseGpu", "takeGpu",    "describe", "estimate",  "generate"};

// Null where it is no JSON.
json parsed(std::string_view body) {
  try {
    return lsp::parse_json(std::string(body));
  } catch (const lsp::BadJson&) {
    return nullptr;
  }
}

}  // namespace

std::string shutdown_notice() {
  return dump({{"jsonrpc", "2.0"}, {"method", shutdown_notice_method}});
}

std::string_view name(ControlRequest request) {
  return lsp::enum_name(requests, request);
}

std::optional<ControlRequest> control_request(std::string_view name) {
  const auto found = std::ranges::find(requests, name);
  if (found == requests.end()) return std::nullopt;
  return static_cast<ControlRequest>(found - requests.begin());
}

std::string encode(const Hello& hello) {
  return dump({{"protocol", hello.protocol},
               {"build", hello.build},
               {"kind", lsp::enum_name(kinds, hello.kind)},
               {"pid", hello.pid},
               {"cwd", hello.cwd}});
}

Hello parse_hello(std::string_view body) {
  const json value = parsed(body);
  if (!value.is_object() || !value.contains("protocol") || !value["protocol"].is_number_integer()) {
    throw Error("the first message is no hello");
  }
  Hello hello;
  hello.protocol = value["protocol"].get<std::int64_t>();
  if (hello.protocol != protocol_version) {
    throw Error("the running daemon speaks protocol " + std::to_string(protocol_version) +
                ", not " + std::to_string(hello.protocol) +
                ": end it with `hearth stop` and try again");
  }
  try {
    const auto kind = std::ranges::find(kinds, value.at("kind").get<std::string>());
    if (kind == kinds.end()) throw Error("unknown kind of connection");
    hello.kind = static_cast<ConnectionKind>(kind - kinds.begin());
    hello.build = value.at("build").get<std::string>();
    hello.pid = value.at("pid").get<pid_t>();
    hello.cwd = value.at("cwd").get<std::string>();
  } catch (const json::exception& bad) {
    throw Error(std::string("a bad hello: ") + bad.what());
  }
  return hello;
}

std::string encode(const Welcome& welcome) {
  json value = {{"protocol", welcome.protocol}, {"build", welcome.build}, {"pid", welcome.pid}};
  if (welcome.error.empty()) {
    value["model"] = welcome.model;
    value["idle"] = welcome.idle;
  } else {
    value["error"] = welcome.error;
  }
  return dump(value);
}

Welcome parse_welcome(std::string_view body) {
  try {
    const json value = parsed(body);
    Welcome welcome;
    welcome.protocol = value.at("protocol").get<std::int64_t>();
    welcome.build = value.at("build").get<std::string>();
    welcome.pid = value.at("pid").get<pid_t>();
    welcome.model = value.value("model", "");
    welcome.idle = value.value("idle", false);
    welcome.error = value.value("error", "");
    return welcome;
  } catch (const json::exception& bad) {
    throw Error(std::string("the daemon's answer is not understood: ") + bad.what());
  }
}

}  // namespace hearth::daemon
