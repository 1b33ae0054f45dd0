// Asks for the status until there is something to say.
#include "daemon/commands/wait_for_model.hpp"

#include <poll.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/platform/format.hpp"
#include "daemon/transport/control_protocol.hpp"

namespace hearth::daemon {

nlohmann::json wait_for_model(Connected& control, bool show_progress) {
  bool line_open = false;
  for (;;) {
    nlohmann::json model = ask(control, name(ControlRequest::status))["model"];
    const bool loading = model["state"] == "loading";
    if (show_progress && (loading || line_open)) std::fputs("\r\x1b[K", stderr);
    if (!loading) return model;
    if (show_progress) {
      line_open = true;
      std::fprintf(stderr, "loading %s of %s",
                   show_bytes(model["load"]["bytesDone"].get<double>()).c_str(),
                   show_bytes(model["load"]["bytesTotal"].get<double>()).c_str());
    }
    ::poll(nullptr, 0, 100);
  }
}

}  // namespace hearth::daemon
