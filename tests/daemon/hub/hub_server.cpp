// The API's answers, and files with their faults.
#include "tests/daemon/hub/hub_server.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "daemon/hub/digest.hpp"
#include "daemon/platform/files.hpp"

namespace hearth::tests {
namespace {

using nlohmann::json;

bool is_large(const std::string& name) {
  return name.ends_with(".safetensors");
}

json digests_of(const std::string& content, const std::string& name, bool in_tree) {
  json entry{{in_tree ? "path" : "rfilename", name}, {"size", content.size()}};
  hub::Digest git = hub::Digest::git_blob(content.size());
  git.add(content);
  entry[in_tree ? "oid" : "blobId"] = git.hex();
  if (in_tree) entry["type"] = "file";
  if (is_large(name)) {
    hub::Digest digest = hub::Digest::sha256();
    digest.add(content);
    entry["lfs"] = {{in_tree ? "oid" : "sha256", digest.hex()}, {"size", content.size()}};
  }
  return entry;
}

}  // namespace

HubServer::HubServer(std::filesystem::path folder, HubFaults faults,
                     const TestCertificate* certificate)
    : faults_(std::move(faults)),
      server_([this](const WebRequest& request,
                     WebConnection& connection) { answer(request, connection); },
              certificate) {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    files_[name] = daemon::read_file(entry.path(), std::size_t{1} << 30);
  }
  for (const auto& [name, content] : faults_.more) files_[name] = content;
  for (const auto& [name, content] : files_) {
    listed_["siblings"] += digests_of(content, name, false).dump() + ",";
    listed_["tree"] += digests_of(content, name, true).dump() + ",";
  }
  for (auto& [list, text] : listed_) text.pop_back();
}

void HubServer::change(const std::function<void(HubFaults&)>& change) {
  const std::lock_guard lock(mutex_);
  change(faults_);
}

std::vector<std::string> HubServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HubServer::answer(const WebRequest& request, WebConnection& connection) {
  HubFaults faults;
  int status = 0;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request.target);
    status = faults_.status;
    const bool is_file = request.target.find("/resolve/") != std::string::npos;
    if (is_file && faults_.busy > 0 && faults_.busy-- > 0) status = 429;
    if (is_file && faults_.failing > 0 && faults_.failing-- > 0) status = 503;
    faults = faults_;
  }
  if (request.headers.contains("authorization")) saw_token_ = true;
  if (status == 0 && !faults.token.empty() &&
      request.header("authorization") != "Bearer " + faults.token)
    status = 401;
  if (status != 0) {
    connection.respond(status, status == 429 ? "Retry-After: 0\r\n" : "", "no");
    return;
  }
  const std::string api = std::string("/api/models/") + id;
  const std::string resolve = std::string("/") + id + "/resolve/";
  if (request.target == api + "/revision/main?blobs=true") {
    answer_revision(faults, connection);
  } else if (request.target.starts_with(api + "/tree/")) {
    answer_tree(request.target, connection);
  } else if (request.target.starts_with(resolve)) {
    const std::string name = request.target.substr(resolve.size() + 41);
    const bool right = request.target.substr(resolve.size(), 40) == first_commit;
    if (!right || !files_.contains(name) || name == faults.missing) {
      connection.respond(404, "X-Error-Code: EntryNotFound\r\n", "");
    } else if (!faults.weights_at.empty() && is_large(name)) {
      connection.respond(302, "Location: " + faults.weights_at + request.target + "\r\n", "there");
    } else {
      answer_file(faults, name, request, connection);
    }
  } else {
    connection.respond(404, "X-Error-Code: RevisionNotFound\r\n", "");
  }
}

void HubServer::answer_revision(const HubFaults& faults, WebConnection& connection) {
  std::string siblings = listed_["siblings"];
  if (!faults.lists_blobs) {
    json names = json::array();
    for (const auto& [name, content] : files_) names.push_back({{"rfilename", name}});
    siblings = names.dump().substr(1);
    siblings.pop_back();
  }
  connection.respond(200, "",
                     "{\"sha\":\"" + faults.commit + "\",\"siblings\":[" + siblings + "]}");
}

// In two pages.
void HubServer::answer_tree(const std::string& page, WebConnection& connection) {
  const json all = json::parse("[" + listed_["tree"] + "]");
  const bool second = page.find("cursor=2") != std::string::npos;
  json part = json::array();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((i >= all.size() / 2) == second) part.push_back(all[i]);
  }
  part.push_back({{"type", "directory"}, {"path", "onnx"}, {"oid", "x"}, {"size", 0}});
  connection.respond(200, second ? "" : "Link: <" + page + "&cursor=2>; rel=\"next\"\r\n",
                     part.dump());
}

void HubServer::answer_file(const HubFaults& faults, const std::string& name,
                            const WebRequest& request, WebConnection& connection) {
  const std::string& content = files_.at(name);
  const std::string range = request.header("range");
  if (range.empty() || faults.ignores_ranges) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) +
                    "\r\n\r\n");
    send_body(faults, content, is_large(name), connection);
    return;
  }
  std::size_t begin = std::stoul(range.substr(6));
  std::size_t last = std::stoul(range.substr(range.find('-') + 1));
  if (faults.shifts_ranges && begin > 0) {
    --begin;
    --last;
  }
  connection.send("HTTP/1.1 206 Partial\r\nContent-Length: " + std::to_string(last + 1 - begin) +
                  "\r\nContent-Range: bytes " + std::to_string(begin) + "-" + std::to_string(last) +
                  "/" + std::to_string(content.size()) + "\r\n\r\n");
  send_body(faults, content.substr(begin, last + 1 - begin), is_large(name), connection);
}

void HubServer::send_body(const HubFaults& faults, std::string body, bool is_weights,
                          WebConnection& connection) {
  if (is_weights) {
    const std::lock_guard lock(mutex_);
    if (faults_.corrupt > 0 && faults_.corrupt-- > 0) body[body.size() / 2] ^= 1;
  }
  const std::uint64_t end = faults.cut_after == 0 || !is_weights
                                ? body.size()
                                : std::min<std::uint64_t>(body.size(), faults.cut_after);
  constexpr std::uint64_t piece = 16 << 10;
  for (std::uint64_t at = 0; at < end; at += piece) {
    const std::uint64_t size = std::min(piece, end - at);
    if (!connection.send(std::string_view(body).substr(at, size))) return;
    sent_ += size;
    if (faults.bytes_per_second > 0 &&
        !connection.waits(std::chrono::milliseconds(1000 * size / faults.bytes_per_second)))
      return;
  }
  if (end < body.size()) connection.cut();
}

}  // namespace hearth::tests
