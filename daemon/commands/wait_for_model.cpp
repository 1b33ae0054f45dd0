// Asks for the status until there is something to say.
#include "daemon/commands/wait_for_model.hpp"

#include <poll.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/platform/format.hpp"
#include "daemon/transport/control_protocol.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string progress_of(const json& model) {
  if (!model.contains("load")) return "looking for " + model["url"].get<std::string>();
  return "loading " + show_bytes(model["load"]["bytesDone"].get<double>()) + " of " +
         show_bytes(model["load"]["bytesTotal"].get<double>());
}

}  // namespace

json answering_engine(const json& status) {
  if (status["model"].is_object()) return status["model"];
  json server = status["servers"].at(0);
  if (server["state"] == "looking") server["state"] = "loading";
  if (server["state"] == "refused") server["state"] = "failed";
  server["error"] = server["why"];
  return server;
}

json wait_for_model(Connected& control, bool show_progress) {
  bool line_open = false;
  for (;;) {
    json model = answering_engine(ask(control, name(ControlRequest::status)));
    const bool loading = model["state"] == "loading";
    if (show_progress && (loading || line_open)) std::fputs("\r\x1b[K", stderr);
    if (!loading) return model;
    if (show_progress) {
      line_open = true;
      std::fputs(progress_of(model).c_str(), stderr);
    }
    ::poll(nullptr, 0, 100);
  }
}

}  // namespace hearth::daemon
