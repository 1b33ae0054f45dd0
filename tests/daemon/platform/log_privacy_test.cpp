// What an editor sends stays out of the log, of stderr and of the state directory: a marker in
// every field of every message, broken in every way.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "daemon/transport/socket.hpp"
#include "lsp/protocol/wire.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

const std::string marker = "zebra7crossing";

Json request(int id, const char* method, Json params) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
}
Json notification(const char* method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

const Json initialize = request(
    1, "initialize",
    {{"processId", nullptr},
     {"clientInfo", {{"name", marker}, {"version", marker}}},
     {"rootUri", "file:///" + marker},
     {"workspaceFolders", {{{"uri", "file:///" + marker}, {"name", marker}}}},
     {"initializationOptions",
      {{"hearth", {{"protocol", 3}, {"features", {marker, "progress"}}}}, {marker, marker}}},
     {"capabilities",
      {{"general", {{"positionEncodings", {"utf-8", marker}}}},
       {"window", {{"workDoneProgress", true}, {"showDocument", {{"support", true}}}, {marker, 1}}},
       {"workspace", {{"textDocumentContent", Json::object()}}},
       {"textDocument",
        {{"codeAction",
          {{"codeActionLiteralSupport", Json::object()},
           {"tagSupport", {{"valueSet", {1, marker}}}}}}}}}}});

Json place(int line, int character) {
  return {{"line", line}, {"character", character}};
}

// Of a session that is initialized, in their order. The text is no program that a model is asked
// about here: what it answers is kept where the user wants it.
std::vector<Json> messages() {
  const std::string uri = "file:///" + marker + "/a.py";
  const Json document = {{"uri", uri}};
  const Json range = {{"start", place(0, 0)}, {"end", place(0, 3)}};
  return {
      notification("textDocument/didOpen", {{"textDocument",
                                             {{"uri", uri},
                                              {"languageId", marker},
                                              {"version", 1},
                                              {"text", "a = '" + marker + "'\n"}}}}),
      notification(
          "textDocument/didChange",
          {{"textDocument", {{"uri", uri}, {"version", 2}}},
           {"contentChanges", {{{"range", range}, {"text", marker}}, {{"text", marker}}}}}),
      request(2, "textDocument/codeAction",
              {{"textDocument", document},
               {"range", range},
               {"context", {{"diagnostics", {{{"message", marker}}}}, {"only", {marker}}}}}),
      request(3, "workspace/executeCommand",
              {{"command", marker}, {"arguments", {{{"uri", uri}, {"range", range}}}}}),
      request(4, "workspace/textDocumentContent", {{"uri", "hearth:/9/" + marker}}),
      request(5, marker.c_str(), {{marker, marker}}),
      notification(marker.c_str(), {{marker, marker}}),
      notification("$/cancelRequest", {{"id", marker}}),
      notification("$/setTrace", {{"value", marker}}),
      notification("workspace/didChangeConfiguration", {{"settings", {{marker, marker}}}}),
      notification("workspace/didChangeWorkspaceFolders",
                   {{"event",
                     {{"added", {{{"uri", "file:///" + marker}, {"name", marker}}}},
                      {"removed", {{{"uri", "file:///" + marker}, {"name", marker}}}}}}}),
      Json{{"jsonrpc", "2.0"}, {"id", marker}, {"result", {{marker, marker}}}},
      Json{{"jsonrpc", "2.0"}, {"id", 1}, {"error", {{"code", 1}, {"message", marker}}}},
      request(6, "hearth/jobs/show", {{"id", marker}}),
      notification("textDocument/didClose", {{"textDocument", document}}),
  };
}

// The message with each of its fields, in turn, gone, of each other type, or too large.
std::vector<std::string> broken(const Json& message) {
  std::vector<std::string> all{message.dump()};
  std::vector<Json::json_pointer> fields;
  const Json flat = message.flatten();
  for (const auto& [path, leaf] : flat.items()) {
    for (Json::json_pointer at(path); !at.empty(); at.pop_back()) {
      if (std::find(fields.begin(), fields.end(), at) == fields.end()) fields.push_back(at);
    }
  }
  const Json others[] = {marker, {marker}, {{marker, marker}}, -1, 1.5, true, nullptr};
  for (const auto& field : fields) {
    for (const Json& other : others) {
      Json changed = message;
      changed[field] = other;
      all.push_back(changed.dump());
    }
    Json changed = message;
    Json& parent = changed[field.parent_pointer()];
    if (parent.is_object()) parent.erase(field.back());
    all.push_back(changed.dump());
    changed = message;
    changed[field] = "NUMBER";
    std::string text = changed.dump();
    text.replace(text.find("\"NUMBER\""), 8, "1e400");
    all.push_back(text);
  }
  const std::string whole = message.dump();
  all.push_back(whole.substr(0, whole.size() - 1));
  all.push_back(whole.substr(0, whole.find(marker) + marker.size()));
  all.push_back(whole + marker);
  all.push_back("[" + whole + "]");
  all.push_back(whole.substr(0, whole.find(marker)) + "\xff" + whole.substr(whole.find(marker)));
  all.push_back(whole.substr(0, whole.find(marker)) + "\\x" + whole.substr(whole.find(marker)));
  all.push_back("\"" + marker + "\"");
  return all;
}

// Streams whose framing lies about this body.
std::vector<std::string> misframed(const std::string& body) {
  std::vector<std::string> all;
  const std::size_t at = body.find(marker);
  for (const std::size_t length : {at, at + 3, at + marker.size(), body.size() - 1}) {
    all.push_back("Content-Length: " + std::to_string(length) + "\r\n\r\n" + body +
                  hearth::lsp::frame(body));
  }
  all.push_back("Content-Length: " + std::to_string(body.size() + 20) + "\r\n\r\n" + body +
                hearth::lsp::frame(body));
  all.push_back("Content-Length: " + marker + "\r\n\r\n" + body);
  all.push_back(marker + "\r\n\r\n" + body);
  all.push_back(marker + ": " + marker + "\r\n\r\n" + body);
  all.push_back("Content-Length: 2\r\nContent-Length: 3\r\n" + marker + ": 1\r\n\r\n" + body);
  all.push_back(marker + ": " + std::string(9000, 'a') + "\r\n\r\n" + body);
  all.push_back(body);
  return all;
}

void send_bytes(int fd, std::string_view bytes) {
  ::fcntl(fd, F_SETFL, 0);  // blocking
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // it has closed the connection
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

MessageStream begin_session(const Home& home) {
  auto connected = connect(home.paths(), ConnectionKind::lsp);
  REQUIRE(connected);
  return std::move(connected->stream);
}

// Until the daemon has handled all that was sent before, or has closed the connection.
void wait_until_handled(MessageStream& stream) {
  stream.send(request(77, "no/such/method", Json::object()).dump());
  while (auto body = stream.receive(ScriptedEditor::timeout)) {
    const Json message = Json::parse(*body);
    if (message.value("id", Json()) == 77) return;
  }
}

// With its daemon's end, so that nothing is written meanwhile.
void check_nowhere(const Home& home) {
  CHECK(home.hearth("stop").code == 0);
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(home.paths().state)) {
    CAPTURE(entry.path().string());
    CHECK(entry.path().string().find(marker) == std::string::npos);
    if (!entry.is_regular_file()) continue;
    ++files;
    const std::string text = read_file(entry.path(), 64 << 20);
    const std::size_t at = text.find(marker);
    if (at == std::string::npos) continue;
    const std::size_t line = text.rfind('\n', at) + 1;
    FAIL_CHECK("found in " << text.substr(line, text.find('\n', at) - line));
  }
  CHECK(files > 0);
}

}  // namespace

TEST_CASE("nothing of a message is found in the log or the state, whatever is wrong with it") {
  Home home;
  home.configure("[log]\nlevel = \"debug\"\n");
  REQUIRE(home.hearth("daemon").code == 0);

  for (const std::string& body : broken(initialize)) {
    MessageStream stream = begin_session(home);
    stream.send(body);
    wait_until_handled(stream);
  }
  MessageStream session = begin_session(home);
  session.send(initialize.dump());
  session.send(notification("initialized", Json::object()).dump());
  for (const Json& message : messages()) {
    for (const std::string& body : broken(message)) session.send(body);
    wait_until_handled(session);
  }
  for (const std::string& stream : misframed(messages().front().dump())) {
    MessageStream lying = begin_session(home);
    lying.send(initialize.dump());
    wait_until_handled(lying);
    send_bytes(lying.out(), stream);
    ::shutdown(lying.out(), SHUT_WR);
    while (lying.receive(ScriptedEditor::timeout)) {
    }
  }
  // What is no hello, or a strange one; the working directory is logged, and is no document.
  const Json hello = {
      {"protocol", 2}, {"build", marker}, {"kind", "lsp"}, {"pid", 1}, {"cwd", "/"}};
  for (const std::string& body : broken(hello)) {
    const Json said = Json::parse(body, nullptr, false);
    if (said.is_object() && said.value("cwd", Json("/")) != "/") continue;
    auto socket = connect_socket(home.paths().socket(), ScriptedEditor::timeout);
    REQUIRE(socket);
    send_bytes(socket->get(), hearth::lsp::frame(body));
    ::shutdown(socket->get(), SHUT_WR);
    char buffer[4096];
    while (::read(socket->get(), buffer, sizeof buffer) > 0) {
    }
  }
  auto control = home.control();
  REQUIRE(control);
  for (const std::string& body : broken(Json{{"request", marker}})) {
    control->stream.send(body);
    CHECK(control->stream.receive(ScriptedEditor::timeout));
  }
  while (home.status()["clients"].size() > 1) ::poll(nullptr, 0, 10);
  check_nowhere(home);
  CHECK(read_file(home.paths().log(), 64 << 20).find("textDocument/didChange: ") !=
        std::string::npos);
}

TEST_CASE("the stdio proxy's complaints quote nothing of what its editor wrote") {
  Home home;
  home.configure("[log]\nlevel = \"debug\"\n");
  const std::string begun = hearth::lsp::frame(initialize.dump());
  for (const std::string& stream : misframed(messages().front().dump())) {
    const Finished finished = home.hearth("lsp", begun + stream);
    CAPTURE(finished.err);
    CHECK(finished.code == 1);
    CHECK(finished.err.find(marker.substr(0, 4)) == std::string::npos);
  }
  std::string all = begun;
  for (const Json& message : messages()) {
    for (const std::string& body : broken(message)) all += hearth::lsp::frame(body);
  }
  const Finished finished = home.hearth("lsp", all);
  CHECK(finished.err == "");
  check_nowhere(home);
}

TEST_CASE("where no daemon can be had, a strange message is no reason to end without a word") {
  Home home;
  home.configure("[model]\nthreads = \"all\"\n");
  std::string all;
  for (const std::string& body : broken(initialize)) all += hearth::lsp::frame(body);
  const Finished finished = home.hearth("lsp", all);
  CHECK(finished.code == 1);
  CHECK(finished.err.find("model.threads must be") != std::string::npos);
  CHECK(finished.err.find(marker) == std::string::npos);
}

TEST_CASE("a name with line breaks is one line of the log and of the status") {
  const std::string forged =
      "/tmp/a\n2026-01-01 00:00:00.000 error forged\r\x1b[2J\xC2\x85\xE2\x80\xA8"
      "b";
  const Home home;
  home.hearth("daemon");
  auto socket = connect_socket(home.paths().socket(), ScriptedEditor::timeout);
  REQUIRE(socket);
  MessageStream stream(std::move(*socket));
  stream.send(encode(Hello{protocol_version, "build", ConnectionKind::lsp, 4711, forged}));
  REQUIRE(stream.receive(ScriptedEditor::timeout));

  const std::string one_line = "/tmp/a?2026-01-01 00:00:00.000 error forged??[2J??b";
  const std::string status = unbroken(home.hearth("status").out);
  CHECK(status.find("process 4711 in " + one_line + "\n") != std::string::npos);
  const std::string log = read_file(home.paths().log(), 1 << 20);
  CHECK(log.find("process 4711 in " + one_line + "\n") != std::string::npos);
}
