// What the editor says when it begins, and what it does with what it is told.
#include "tests/daemon/kills/editor.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace hearth::tests {
namespace {

using Clock = std::chrono::steady_clock;

// A test that waits longer than this has failed.
constexpr std::chrono::minutes max_wait{3};

std::size_t offset(const std::string& text, const Json& position) {
  std::size_t at = 0;
  for (auto line = position["line"].get<int>(); line > 0; --line) at = text.find('\n', at) + 1;
  return at + position["character"].get<std::size_t>();  // the documents are ASCII
}

}  // namespace

KilledEditor::KilledEditor(const Home& home) : home_(home) {
  process_.emplace(std::vector<std::string>{"/bin/cat"}, std::map<std::string, std::string>());
  start_server();
}

KilledEditor::~KilledEditor() = default;

void KilledEditor::start_server() {
  stream_.reset();
  server_.emplace(std::vector<std::string>{program(), "lsp"}, home_.environment(), true);
  stream_.emplace(server_->from(), server_->to());
  ++servers_;
  answers_.clear();
  held_.reset();
  const auto id = request(
      "initialize",
      {{"processId", process_->pid()},
       {"clientInfo", {{"name", "killed"}}},
       {"rootUri", folder},
       {"capabilities",
        {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}}}},
       {"initializationOptions", {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}}}});
  const auto deadline = Clock::now() + max_wait;
  while (!answers_.contains(id)) {
    auto body = stream_->receive(max_wait);
    if (!body || Clock::now() > deadline) throw std::runtime_error("no language server begins");
    handle(Json::parse(*body));
  }
  send({{"method", "initialized"}, {"params", Json::object()}});
  for (const auto& [uri, document] : documents_) {
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri},
              {"languageId", "python"},
              {"version", document.version},
              {"text", document.text}}}}}});
  }
}

void KilledEditor::send(Json message) {
  message["jsonrpc"] = "2.0";
  stream_->send(message.dump());
}

std::int64_t KilledEditor::request(const std::string& method, Json params) {
  send({{"id", ++last_id_}, {"method", method}, {"params", std::move(params)}});
  return last_id_;
}

void KilledEditor::open(const std::string& uri, const std::string& text) {
  documents_[uri] = {text, text, 1, 0};
  send({{"method", "textDocument/didOpen"},
        {"params",
         {{"textDocument",
           {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}}});
}

std::uint64_t KilledEditor::choose(const std::string& action, const std::string& uri,
                                   const Json& more) {
  const std::string& text = documents_.at(uri).text;
  const auto lines = std::count(text.begin(), text.end(), '\n');
  Json place{
      {"uri", uri},
      {"range",
       {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", lines}, {"character", 0}}}}}};
  place.update(more);
  const auto deadline = Clock::now() + max_wait;
  while (shown(uri) == nullptr) {
    if (Clock::now() > deadline) throw std::runtime_error("no job begins: " + action);
    const std::size_t server = servers_;
    const auto id = request("workspace/executeCommand",
                            {{"command", "hearth.server." + action}, {"arguments", {place}}});
    until([&] { return answers_.contains(id) || servers_ != server; }, max_wait);
    // Refused because a daemon ended: asked again, where the job is not there all the same.
    const bool taken = answers_.contains(id) && !answers_[id].contains("error");
    until([&] { return shown(uri) != nullptr; },
          taken ? std::chrono::milliseconds(10'000) : std::chrono::milliseconds(2'000));
  }
  return shown(uri)->id;
}

void KilledEditor::apply(std::uint64_t job) {
  request("workspace/executeCommand",
          {{"command", "hearth.session.apply"}, {"arguments", {{{"job", job}}}}});
}

bool KilledEditor::until(const std::function<bool()>& met, std::chrono::milliseconds time) {
  const auto deadline = Clock::now() + time;
  for (;;) {
    take_in();
    if (met()) return true;
    const auto left = deadline - Clock::now();
    if (left <= Clock::duration::zero()) return false;
    const bool waits = stream_->unsent() > 0;
    pollfd pollers[] = {{stream_->in(), POLLIN, 0}, {waits ? stream_->out() : -1, POLLOUT, 0}};
    const auto wait = std::min<Clock::duration>(left, std::chrono::milliseconds(5));
    ::poll(pollers, 2,
           static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count()));
    if (pollers[1].revents != 0) stream_->flush();  // take_in() notices where it is gone
  }
}

// All that is there.
void KilledEditor::take_in() {
  for (;;) {
    while (auto body = stream_->next()) handle(Json::parse(*body));
    pollfd poller{stream_->in(), POLLIN, 0};
    if (::poll(&poller, 1, 0) <= 0) return;
    if (stream_->fill()) continue;
    server_->close_input();
    static_cast<void>(server_->wait());
    start_server();
  }
}

void KilledEditor::handle(Json message) {
  const auto method = message.value("method", std::string());
  if (method.empty()) {
    const Json id = message["id"];
    if (id.is_number_integer()) answers_[id.get<std::int64_t>()] = std::move(message);
  } else if (method == "workspace/applyEdit" && holds) {
    held_ = std::move(message);
  } else if (method == "workspace/applyEdit") {
    make(message);
    send({{"id", message["id"]}, {"result", {{"applied", true}}}});
  } else if (message.contains("id")) {
    send({{"id", message["id"]}, {"result", nullptr}});
  } else if (method == "hearth/jobState") {
    const Json& params = message["params"];
    const auto id = params["id"].get<std::uint64_t>();
    auto& [uri, job] = jobs_[id];
    job.id = id;
    uri = params.value("uri", uri);
    job.state = params["state"].get<std::string>();
    if (params.contains("text")) job.text = params["text"].get<std::string>();
  } else if (method == "hearth/textDelta") {
    jobs_[message["params"]["id"].get<std::uint64_t>()].second.text +=
        message["params"]["text"].get<std::string>();
  }
}

void KilledEditor::make(const Json& request) {
  for (const Json& change : request["params"]["edit"]["documentChanges"]) {
    const auto uri = change["textDocument"]["uri"].get<std::string>();
    Document& document = documents_.at(uri);
    std::string text = document.text;
    const Json& edits = change["edits"];
    for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
      const std::size_t begin = offset(text, (*edit)["range"]["start"]);
      const std::size_t end = offset(text, (*edit)["range"]["end"]);
      text.replace(begin, end - begin, (*edit)["newText"].get<std::string>());
    }
    ++document.edits;
    type(uri, text);
  }
}

void KilledEditor::make_held() {
  make(*std::exchange(held_, std::nullopt));
}

void KilledEditor::forget_held() {
  held_.reset();
}

void KilledEditor::type(const std::string& uri, const std::string& text) {
  Document& document = documents_.at(uri);
  document.text = text;
  ++document.version;
  send({{"method", "textDocument/didChange"},
        {"params",
         {{"textDocument", {{"uri", uri}, {"version", document.version}}},
          {"contentChanges", {{{"text", text}}}}}}});
}

void KilledEditor::save() {
  for (auto& [uri, document] : documents_) document.saved = document.text;
}

void KilledEditor::kill_server() {
  ::kill(server_->pid(), SIGKILL);
  static_cast<void>(server_->wait());
  start_server();
}

void KilledEditor::kill() {
  ::kill(process_->pid(), SIGKILL);
  process_.emplace(std::vector<std::string>{"/bin/cat"}, std::map<std::string, std::string>());
  // It ends by itself; what it still had to say is not heard.
  server_->close_input();
  static_cast<void>(server_->wait());
  for (auto& [uri, document] : documents_) {
    // Edits that went with the editor were not made twice where they are made again.
    if (document.text != document.saved) document.edits = 0;
    document.text = document.saved;
    document.version = 1;
  }
  start_server();
}

const KilledEditor::Shown* KilledEditor::shown(const std::string& uri) const {
  const Shown* last = nullptr;
  for (const auto& [id, each] : jobs_) {
    if (each.first == uri) last = &each.second;
  }
  return last;
}

const KilledEditor::Shown* KilledEditor::shown(std::uint64_t job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : &found->second.second;
}

}  // namespace hearth::tests
