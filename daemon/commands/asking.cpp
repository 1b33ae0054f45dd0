// One question, one answer.
#include "daemon/commands/asking.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"

namespace hearth::daemon {

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Connected running_daemon() {
  auto control = find_daemon(find_paths(), ConnectionKind::control, command_timeout);
  if (!control) throw Error("no daemon runs (`hearth daemon` or an editor starts one)");
  return std::move(*control);
}

int show_answer(const nlohmann::json& answer, bool json,
                std::string (*show)(const nlohmann::json&)) {
  print(json ? answer.dump(2) + "\n" : show(answer));
  return 0;
}

int ask_and_show(const std::string& request, bool json,
                 std::string (*show)(const nlohmann::json&)) {
  auto control = running_daemon();
  return show_answer(ask(control, request, command_timeout), json, show);
}

}  // namespace hearth::daemon
