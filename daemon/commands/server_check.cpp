// One request, and what became of it.
#include "daemon/commands/server_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "daemon/http/client.hpp"
#include "daemon/platform/error.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t longest_list = std::size_t{4} << 20;
constexpr std::size_t names_shown = 5;

// Throws Error.
std::vector<std::string> models_of(const std::string& body, const std::string& where) {
  std::vector<std::string> names;
  try {
    const json list = lsp::parse_json(std::string(body));
    for (const json& model : list.at("data")) names.push_back(model.at("id").get<std::string>());
  } catch (const std::exception&) {
    throw Error(where + " does not list models as an OpenAI-compatible server does");
  }
  return names;
}

}  // namespace

std::string check_server(const RemoteOptions& options) {
  constexpr std::chrono::milliseconds longest_wait{5'000};
  http::Request request;
  request.url = options.url;
  while (request.url.target.ends_with('/')) request.url.target.pop_back();
  request.url.target += "/models";
  if (!options.key.empty()) request.headers.push_back({"Authorization", "Bearer " + options.key});
  http::Client client({longest_wait, longest_wait, longest_wait});
  const http::Head head = client.begin(request);
  const std::string where = request.url.shown();
  if (head.status == 401 || head.status == 403)
    throw Error(where + " refuses the key: it comes from " + options.key_source);
  if (head.status != 200) throw Error(fmt::format("{} answers with {}", where, head.status));
  const std::vector<std::string> names = models_of(client.read_all(longest_list), where);
  const std::vector<std::string> shown(
      names.begin(),
      names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), names_shown)));
  const std::string list =
      fmt::format("{}{}", fmt::join(shown, ", "), shown.size() < names.size() ? " …" : "");
  if (!options.model.empty() && std::ranges::find(names, options.model) == names.end())
    throw Error(options.url.shown() + " has no model " + options.model + ", but " + list);
  return fmt::format("{} answers, with the {} {}", options.url.shown(),
                     names.size() == 1 ? "model" : "models", list);
}

}  // namespace hearth::daemon
