// Requests to the API, and what their statuses mean for a person.
#include "daemon/hub/repository.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "daemon/hub/digest.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::hub {
namespace {

using daemon::Error;
using nlohmann::json;

constexpr int most_redirects = 5;
constexpr int most_pages = 20;
constexpr std::size_t largest_answer = 32 << 20;
constexpr std::chrono::seconds longest_wait{300};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Retry-After in seconds, bounded; its form as a date is passed over.
std::optional<std::chrono::seconds> retry_after(const http::Head& head) {
  const std::string_view text = head.find("Retry-After");
  std::int64_t seconds = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() ||
      seconds < 0)
    return std::nullopt;
  return std::min(std::chrono::seconds(seconds), longest_wait);
}

// The address of the next page: <…>; rel="next".
std::string next_page(const http::Head& head) {
  const std::string_view link = head.find("Link");
  const std::size_t end = link.find(">; rel=\"next\"");
  if (end == std::string_view::npos) return "";
  const std::size_t begin = link.rfind('<', end);
  if (begin == std::string_view::npos) return "";
  return std::string(link.substr(begin + 1, end - begin - 1));
}

json parse_answer(const std::string& text, const std::string& who) {
  json answer = json::parse(text, nullptr, false);
  if (answer.is_discarded()) throw Error(who + " answers with something that is no JSON");
  return answer;
}

bool is_full_answer(std::string_view content_range, std::uint64_t begin, std::uint64_t end,
                    std::uint64_t size) {
  return content_range == fmt::format("bytes {}-{}/{}", begin, end - 1, size);
}

}  // namespace

Endpoint find_endpoint() {
  const std::string configured = environment("HF_ENDPOINT");
  Endpoint endpoint{http::parse_url(configured.empty() ? "https://huggingface.co" : configured),
                    environment("HF_TOKEN")};
  if (!endpoint.url.tls && !endpoint.url.is_loopback())
    throw Error("HF_ENDPOINT is " + endpoint.url.origin() +
                ": only https is used, or http to this machine itself");
  return endpoint;
}

Wanted parse_wanted(const std::string& text, const std::string& revision, Endpoint endpoint) {
  Wanted wanted{std::move(endpoint), text, revision};
  if (text.find("://") != std::string::npos) {
    const http::Url url = http::parse_url(text);
    if (!url.tls && !url.is_loopback())
      throw Error(url.shown() + ": only https is used, or http to this machine itself");
    if (url.origin() != wanted.endpoint.url.origin()) wanted.endpoint.token.clear();
    // /OWNER/NAME, and behind it perhaps /tree/REVISION
    std::vector<std::string> parts;
    std::string path = url.target.substr(1, url.target.find('?') - 1);
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/')) {
      parts.push_back(path.substr(0, slash));
      path.erase(0, slash + 1);
    }
    if (!path.empty()) parts.push_back(path);
    wanted.endpoint.url = url;
    wanted.endpoint.url.target = "/";
    const bool names_revision = parts.size() == 4 && (parts[2] == "tree" || parts[2] == "resolve");
    if (parts.size() != 2 && !names_revision)
      throw Error(url.shown() + " is no model's address: https://HOST/OWNER/NAME is expected");
    wanted.id = parts[0] + "/" + parts[1];
    if (names_revision && !revision.empty() && parts[3] != revision)
      throw Error(url.shown() + " names another revision than --revision " + revision);
    if (names_revision) wanted.revision = parts[3];
  } else {
    wanted.endpoint.url.target = "/";
  }
  if (!is_repository_id(wanted.id))
    throw Error("\"" + daemon::on_one_line(wanted.id) +
                "\" is no model's name: OWNER/NAME is expected, such as "
                "Qwen/Qwen3-Coder-Next-FP8");
  return wanted;
}

std::string Repository::name() const {
  return wanted_.endpoint.url.origin() + "/" + wanted_.id;
}

http::Head Repository::get(http::Client& client, const http::Url& url, const std::string& range,
                           const std::string& what) const {
  http::Request request;
  request.url = url;
  for (int hop = 0;; ++hop) {
    request.headers = {{"Accept-Encoding", "identity"}};
    if (!range.empty()) request.headers.push_back({"Range", range});
    const bool configured = request.url.origin() == wanted_.endpoint.url.origin();
    if (hop == 0 && configured && !wanted_.endpoint.token.empty())
      request.headers.push_back({"Authorization", "Bearer " + wanted_.endpoint.token});
    http::Head head = client.begin(request);
    if (!is_redirect(head.status)) {
      if (head.status >= 400) refuse(client, head, request.url, what);
      return head;
    }
    if (hop == most_redirects)
      throw Error(name() + " redirects more than " + std::to_string(most_redirects) + " times");
    const http::Url next = http::resolve_location(request.url, head.find("Location"));
    // A server elsewhere leads neither off https nor to what only this machine can reach.
    const bool here = wanted_.endpoint.url.is_loopback();
    if ((!next.tls || next.is_loopback()) && !(here && next.is_loopback()))
      throw Error(name() + " redirects to " + next.shown() +
                  ": only https to a server elsewhere is followed");
    client.read_all(largest_answer);
    request.url = next;
  }
}

void Repository::refuse(http::Client& client, const http::Head& head, const http::Url& url,
                        const std::string& what) const {
  const std::string origin = wanted_.endpoint.url.origin();
  const std::string status = std::to_string(head.status);
  const std::string reason(head.find("X-Error-Code"));
  client.close();  // whatever else it has to say
  if (head.status == 429 || head.status == 408 || head.status >= 500)
    throw Transient(url.origin() + " is busy (" + status + ")", retry_after(head));
  if (url.origin() != origin)  // an address that was good for a while
    throw Transient(url.origin() + " refuses " + what + " (" + status + ")", std::nullopt);
  const std::string accept = "accept its licence at " + name();
  const std::string token =
      ", make a token at " + origin + "/settings/tokens and set HF_TOKEN=… in the environment";
  if (head.status == 401 && wanted_.endpoint.token.empty())
    throw Error(name() + " is not shown to everybody (401). If the name is right, " + accept +
                token + ".");
  if (head.status == 401)
    throw Error(origin + " does not take the token in HF_TOKEN (401): see " + origin +
                "/settings/tokens.");
  if (head.status == 403)
    throw Error(name() + " may not be read by " +
                (wanted_.endpoint.token.empty() ? "everybody" : "the user of HF_TOKEN") +
                " (403): " + accept + (wanted_.endpoint.token.empty() ? token : "") + ".");
  if (head.status == 404 && reason == "RevisionNotFound")
    throw Error(name() + " has no revision " + wanted_.revision + ".");
  if (head.status == 404) throw Error(origin + " has no " + what + " (404).");
  throw Error(origin + " refuses " + what + " (" + status + ").");
}

Manifest Repository::look_up(http::Client& client) const {
  const std::string revision = wanted_.revision.empty() ? "main" : wanted_.revision;
  const std::string api =
      wanted_.endpoint.url.origin() + "/api/models/" + http::path_encoded(wanted_.id);
  // A revision's name may have a slash, which is a part of it.
  std::string encoded = http::path_encoded(revision);
  for (std::size_t at = 0; (at = encoded.find('/', at)) != std::string::npos;)
    encoded.replace(at, 1, "%2F");
  get(client, http::parse_url(api + "/revision/" + encoded + "?blobs=true"), "",
      "model " + wanted_.id);
  const json answer = parse_answer(client.read_all(largest_answer), name());
  Manifest manifest;
  manifest.endpoint = wanted_.endpoint.url.origin();
  manifest.id = wanted_.id;
  manifest.revision = revision;
  const auto commit = answer.is_object() ? answer.find("sha") : answer.end();
  if (!answer.is_object() || commit == answer.end() || !commit->is_string() ||
      !is_hex(commit->get_ref<const std::string&>(), 40))
    throw Error(name() + " does not say which commit " + revision + " is");
  manifest.commit = commit->get<std::string>();
  const json files = answer.value("siblings", json());
  const auto has_size = [](const json& file) { return file.is_object() && file.contains("size"); };
  if (files.is_array() && !files.empty() && std::ranges::all_of(files, has_size)) {
    manifest.files = read_files(files, name());
    return manifest;
  }
  // A server that does not list sizes there does so with its tree.
  json all = json::array();
  std::string page = api + "/tree/" + manifest.commit + "?recursive=true";
  for (int count = 0; !page.empty(); ++count) {
    if (count == most_pages) throw Error(name() + " has too many files");
    const http::Url url = http::parse_url(page);
    const http::Head head = get(client, url, "", "list of files of " + wanted_.id);
    for (json& file : parse_answer(client.read_all(largest_answer), name()))
      all.push_back(std::move(file));
    page = next_page(head);
    if (page.empty()) break;
    const http::Url next = http::resolve_location(url, page);
    if (next.origin() != url.origin()) throw Error(name() + " continues its list elsewhere");
    page = next.origin() + next.target;
  }
  manifest.files = read_files(all, name());
  return manifest;
}

void Repository::read(http::Client& client, const std::string& commit, const RemoteFile& file,
                      std::uint64_t begin, std::uint64_t end,
                      const std::function<void(std::string_view)>& take) const {
  const http::Url url =
      http::parse_url(wanted_.endpoint.url.origin() + "/" + http::path_encoded(wanted_.id) +
                      "/resolve/" + commit + "/" + http::path_encoded(file.name));
  const bool whole = begin == 0 && end == file.size;
  const std::string range = whole ? "" : fmt::format("bytes={}-{}", begin, end - 1);
  const http::Head head = get(client, url, range, wanted_.id + "/" + file.name);
  const std::string shown = name() + ": " + file.name;
  if (!whole && head.status == 200)
    throw Error(shown +
                ": the server sends no parts of files, so that a download that was cut off "
                "could not go on");
  if (head.status != (whole ? 200 : 206))
    throw Transient(shown + ": the server answers with " + std::to_string(head.status),
                    std::nullopt);
  if (!whole && !is_full_answer(head.find("Content-Range"), begin, end, file.size))
    throw Transient(shown + ": the server sends another part than was asked for", std::nullopt);
  std::uint64_t got = 0;
  for (std::string_view piece = client.read(); !piece.empty(); piece = client.read()) {
    if (piece.size() > end - begin - got) {
      client.close();
      throw Transient(shown + ": the server sends more than was asked for", std::nullopt);
    }
    take(piece);
    got += piece.size();
  }
  if (got != end - begin) throw Transient(shown + ": the answer was too short", std::nullopt);
}

}  // namespace hearth::hub
