// Many windows at once on one daemon, each with its own way to count characters: nothing of one is
// ever told to another, the same file in two windows is two documents, and nothing piles up.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "lsp/support/text.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace lsp = hearth::lsp;

namespace {

constexpr std::size_t windows = 8;
constexpr const char* shared_uri = "file:///shared.py";  // open in all of them, in no folder

struct Counting {
  const char* name;  // as `initialize` has it; empty: the client says nothing
  lsp::Encoding encoding;
};
constexpr Counting countings[] = {{"utf-8", lsp::Encoding::utf8},
                                  {"utf-16", lsp::Encoding::utf16},
                                  {"utf-32", lsp::Encoding::utf32},
                                  {"", lsp::Encoding::utf16}};

// A person at work in one window.
class Window {
 public:
  Window(const Home& home, std::size_t number)
      : mark_("mark" + std::to_string(number) + "q"),
        counting_(countings[number % std::size(countings)]),
        random_(static_cast<std::uint32_t>(number)),
        editor_(home.editor(true)) {
    const std::string folder = "file:///window" + std::to_string(number);
    Json capabilities = Json::object();
    if (*counting_.name != 0)
      capabilities["general"]["positionEncodings"] = Json::array({counting_.name});
    editor_.on_notification = [this](const std::string& method, const Json& params) {
      hear(method, params);
    };
    // The plugin's protocol for half of them.
    Json options = nullptr;
    if (number % 2 == 0)
      options = {{"hearth", {{"protocol", 3}, {"features", {"jobs", "status"}}}}};
    editor_.initialize(capabilities, options);
    for (const std::string& uri : {folder + "/a.py", std::string(shared_uri)}) {
      documents_.push_back({uri, 1, text_of_its_own()});
      editor_.open(uri, "python", documents_.back().text);
    }
  }

  void act() {
    const std::size_t which = pick(documents_.size());
    switch (pick(8)) {
      case 0:
        return menu(which);
      case 1:
        return complete(which);
      case 2:
        return explain(which);
      case 3:
        return cancel();
      default:
        return type(which);
    }
  }

  // What the daemon has of each document is what stands here.
  void compare() {
    for (std::size_t which = 0; which < documents_.size(); ++which) {
      Document& document = documents_[which];
      if (document.text.empty()) continue;
      const Json menu = list(which, lsp::Byte{0}, lsp::Byte{document.text.size()});
      std::ostringstream hash;
      hash << std::hex << std::setw(16) << std::setfill('0') << lsp::content_hash(document.text);
      bool told = false;
      for (const Json& entry : menu) {
        const Json& command = entry.contains("arguments") ? entry : entry["command"];
        if (!command.contains("arguments")) continue;
        CHECK(command["arguments"][0]["hash"] == hash.str());
        told = true;
      }
      CHECK(told);
    }
  }

  void listen() { menu(0); }
  std::size_t started() const { return started_; }
  const std::string& mark() const { return mark_; }
  const std::string& heard() const { return heard_; }

 private:
  struct Document {
    std::string uri;
    std::int64_t version;
    std::string text;
  };

  std::size_t pick(std::size_t count) { return random_() % count; }
  std::string text_of_its_own() const {
    return "def " + mark_ + "_one(values):\n    return sum(values) / len(values)\n\n\ndef " +
           mark_ + "_two(é):\n    return '😀'\n";
  }
  void hear(const std::string& method, const Json& params) { note(method + params.dump()); }
  void note(const std::string& said) {
    // Only what is another's counts; its own marks would fill the memory.
    for (std::size_t number = 0; number < windows; ++number) {
      const std::string other = "mark" + std::to_string(number) + "q";
      if (other != mark_ && said.find(other) != std::string::npos) heard_ += said + "\n";
    }
  }
  Json ask(const std::string& method, const Json& params) {
    const Json response = editor_.wait(editor_.begin(method, params));
    note(response.dump());
    return response.contains("result") ? response["result"] : Json();
  }
  Json position(const Document& document, lsp::Byte offset) const {
    const lsp::Position at = lsp::Text(document.text).position(offset, counting_.encoding);
    return {{"line", at.line}, {"character", at.character}};
  }
  // Anywhere between two characters.
  lsp::Byte place(const Document& document) {
    std::size_t at = pick(document.text.size() + 1);
    while (at > 0 && at < document.text.size() &&
           (static_cast<unsigned char>(document.text[at]) & 0xC0U) == 0x80U)
      --at;
    return lsp::Byte{at};
  }
  Json list(std::size_t which, lsp::Byte from, lsp::Byte to) {
    const Document& document = documents_[which];
    return ask("textDocument/codeAction",
               {{"textDocument", {{"uri", document.uri}}},
                {"range", {{"start", position(document, from)}, {"end", position(document, to)}}},
                {"context", {{"diagnostics", Json::array()}, {"triggerKind", 1}}}});
  }
  void menu(std::size_t which) {
    const lsp::Byte one = place(documents_[which]);
    const lsp::Byte other = place(documents_[which]);
    list(which, std::min(one, other), std::max(one, other));
  }
  void complete(std::size_t which) {
    const Document& document = documents_[which];
    ask("textDocument/inlineCompletion", {{"textDocument", {{"uri", document.uri}}},
                                          {"position", position(document, place(document))},
                                          {"context", {{"triggerKind", pick(2) + 1}}}});
  }
  void explain(std::size_t which) {
    const Document& document = documents_[which];
    if (document.text.find_first_not_of(" \n") == std::string::npos) return;
    const Json response = editor_.wait(
        editor_.begin("workspace/executeCommand",
                      {{"command", "hearth.server.explain"},
                       {"arguments",
                        {{{"uri", document.uri},
                          {"range",
                           {{"start", position(document, lsp::Byte{0})},
                            {"end", position(document, lsp::Byte{document.text.size()})}}}}}}}));
    note(response.dump());
    if (response.contains("result")) ++started_;
  }
  // Some job, another's most likely: which then must not be touched.
  void cancel() { ask("hearth/cancelJob", {{"id", pick(20) + 1}}); }
  void type(std::size_t which) {
    static const std::vector<std::string> words{"x", " ", "\n",     "é",    "😀",
                                                "(", ")", "return", "=\r\n"};
    Document& document = documents_[which];
    const lsp::Byte from = place(document);
    lsp::Byte to = from;
    if (document.text.size() > 400 || pick(3) == 0) {
      to = std::max(from, place(document));
    }
    const std::string word = to > from ? "" : words[pick(words.size())];
    const Json range{{"start", position(document, from)}, {"end", position(document, to)}};
    // A position at the end of a line cannot tell \r\n from what follows: take what it means.
    const lsp::Text before(document.text);
    const lsp::ByteRange meant = before.bytes(
        {before.position(from, counting_.encoding), before.position(to, counting_.encoding)},
        counting_.encoding);
    document.text.replace(meant.begin.value, meant.end.value - meant.begin.value, word);
    editor_.notify("textDocument/didChange",
                   {{"textDocument", {{"uri", document.uri}, {"version", ++document.version}}},
                    {"contentChanges", {{{"range", range}, {"text", word}}}}});
  }

  const std::string mark_;
  const Counting counting_;
  std::mt19937 random_;
  std::vector<Document> documents_;
  std::size_t started_ = 0;
  std::string heard_;  // of others
  ScriptedEditor editor_;
};

// Of the process, in MB.
std::size_t resident(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    std::size_t kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) return kilobytes / 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("eight windows with four ways to count characters hear nothing of each other") {
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  Home home;
  // What is kept of prompts is part of the memory up to its budget: of little, a leak can be told.
  home.configure("[prefix_cache]\nram = \"64M\"\n");
  home.hearth("daemon");
  const pid_t daemon = home.daemon_pid();
  std::vector<std::unique_ptr<Window>> all;
  for (std::size_t number = 0; number < windows; ++number)
    all.push_back(std::make_unique<Window>(home, number));

  std::mt19937 random(1);
  const auto began = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::steady_clock::now() - began; };
  std::size_t acts = 0;
  std::size_t warm = 0;  // MB, when everything was used once
  for (; is_long ? passed() < std::chrono::minutes(10) : acts < 600; ++acts) {
    all[random() % windows]->act();
    if (acts == 2'000) warm = resident(daemon);
  }
  for (const auto& window : all) window->compare();

  std::size_t started = 0;
  for (const auto& window : all) started += window->started();
  Json jobs = home.status()["jobs"];
  MESSAGE(acts << " acts, " << started << " jobs started; the daemon has " << resident(daemon)
               << " MB, " << warm << " MB after the first 2,000 acts");
  for (const auto& window : all) {
    window->listen();
    CHECK(window->heard() == "");
  }
  CHECK(home.daemon_pid() == daemon);
  if (is_long) CHECK(resident(daemon) <= warm + warm / 4 + 32);
}
