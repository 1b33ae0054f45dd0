// Clients that ask for anything, change their minds and vanish, with an editor beside them: nothing
// of them stays in the daemon. HEARTH_LONG goes on for ten minutes; as a number above 1, for so
// many.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "daemon/http/client.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth;
using nlohmann::json;
using tests::Home;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int clients = 8;

std::size_t descriptors_of(pid_t process) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(process) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t resident_kilobytes(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string word; status >> word;) {
    std::size_t count = 0;
    if (word == "VmRSS:" && status >> count) return count;
  }
  return 0;
}

struct Counts {
  std::atomic<int> answered = 0;
  std::atomic<int> refused = 0;  // by a status of 400 and more
  std::atomic<int> left = 0;     // by the client, in the middle
  std::atomic<int> odd = 0;      // what no server should do
};

// One of the clients, in a thread of its own.
class Client {
 public:
  Client(const std::string& url, std::string token, unsigned seed, Counts& counts)
      : url_(url), token_(std::move(token)), counts_(counts), random_(seed) {}

  // As tools do, it thinks for a moment before the next one.
  void pause() { ::poll(nullptr, 0, static_cast<int>(below(100))); }

  void ask() {
    http::Request request;
    request.method = "POST";
    if (token_known()) request.headers.push_back({"Authorization", "Bearer " + token_});
    request.headers.push_back({"Content-Type", "application/json"});
    choose(request);
    try {
      http::Client client;
      const http::Head head = client.begin(request);
      ++(head.status >= 400 ? counts_.refused : counts_.answered);
      const bool leaves = below(3) == 0;
      for (unsigned pieces = below(6); !client.read().empty();) {
        if (!leaves || pieces-- > 0) continue;
        ++counts_.left;
        return;  // the connection closes
      }
    } catch (const http::Failure&) {
      ++counts_.odd;
    }
  }

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_()) % limit; }
  bool token_known() { return below(20) != 0; }

  std::string text() {
    std::string text = "def f" + std::to_string(below(5)) + "(x):\n";
    for (unsigned line = below(12); line > 0; --line) text += "    x = x + 1\n";
    return text;
  }

  void choose(http::Request& request) {
    json body;
    std::string path;
    switch (below(8)) {
      case 0:
        path = "/v1/completions";
        body = {{"prompt", {text(), text()}}, {"max_tokens", 4}, {"echo", below(2) == 0}};
        break;
      case 1:
        path = "/infill";
        body = {{"input_prefix", text()}, {"input_suffix", "\n"}, {"n_predict", below(16)}};
        break;
      case 2:
        path = "/tokenize";
        body = {{"content", text()}};
        break;
      case 3:
        path = "/v1/chat/completions";
        body = {{"messages", below(100)}, {"n", 2}};
        break;
      case 4:
        path = "/nowhere";
        break;
      default:
        path = "/v1/chat/completions";
        body = {{"messages", {{{"role", "user"}, {"content", text() + "\nExplain this."}}}},
                {"max_tokens", 1 + below(24)}};
        if (below(3) == 0) {
          body["tools"] = {
              {{"type", "function"},
               {"function",
                {{"name", "look"},
                 {"parameters", {{"properties", {{"deep", {{"type", "boolean"}}}}}}}}}}};
          body["tool_choice"] = below(2) == 0 ? "required" : "auto";
        }
    }
    body["stream"] = below(2) == 0;
    request.body = below(15) == 0 ? "{no JSON" : body.dump();
    request.url = http::parse_url(url_ + path);
  }

  const std::string url_;
  const std::string token_;
  Counts& counts_;
  std::mt19937 random_;
};

struct Series {
  std::vector<double> milliseconds;
  double at(double share) {
    std::ranges::sort(milliseconds);
    return milliseconds.at(
        static_cast<std::size_t>(share * static_cast<double>(milliseconds.size() - 1)));
  }
};

// Until this much has been asked, by each; empty: by the clock.
struct Extent {
  std::optional<int> requests;
  std::chrono::minutes time{0};
};

Extent extent() {
  const char* given = std::getenv("HEARTH_LONG");
  if (given == nullptr) return {12};
  const int minutes = std::atoi(given);
  return {std::nullopt, std::chrono::minutes(minutes > 1 ? minutes : 10)};
}

}  // namespace

TEST_CASE("of clients that ask, leave and vanish nothing stays, and the editor's menu is there") {
  const Extent wanted = extent();
  Home home;
  home.configure("[serve]\nport = 0\nopen = true\n[prefix_cache]\nram = \"32M\"\n");
  auto editor = home.editor();
  editor.initialize({{"textDocument",
                      {{"codeAction",
                        {{"codeActionLiteralSupport",
                          {{"codeActionKind", {{"valueSet", {"hearth.explain"}}}}}}}}}}},
                    nullptr);
  editor.open(tests::stats_uri, "python", tests::average);
  while (home.status()["model"]["state"] != "ready") ::poll(nullptr, 0, 5);
  std::string url = home.status()["serve"]["url"];
  url.resize(url.rfind("/v1"));
  std::string token = home.hearth("serve --token").out;
  while (token.ends_with('\n')) token.pop_back();
  const pid_t daemon = home.daemon_pid();

  Counts counts;
  std::atomic<bool> over = false;
  std::atomic<int> working = clients;
  const auto begun = Clock::now();
  const auto run = [&](unsigned seed, int requests) {
    Client client(url, token, seed, counts);
    for (int asked = 0; !over && asked < requests; ++asked) {
      client.ask();
      if (!wanted.requests) client.pause();
    }
    --working;
  };
  // What the first requests make stays: buffers, threads, what is kept of prompts.
  Counts warm;
  for (unsigned i = 0; i < 40; ++i) Client(url, token, 1000 + i, warm).ask();
  const auto quiet = [&] {
    const json status = home.status();
    return status["model"]["waiting"] == 0 && status["serve"]["connections"] == 0;
  };
  while (!quiet()) ::poll(nullptr, 0, 20);
  const std::size_t descriptors = descriptors_of(daemon);
  const std::size_t resident = resident_kilobytes(daemon);

  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i)
    threads.emplace_back(run, static_cast<unsigned>(i), wanted.requests.value_or(1 << 30));
  Series menu;
  while (working > 0) {
    const auto start = Clock::now();
    tests::actions(editor, tests::stats_uri, 5);
    menu.milliseconds.push_back(
        std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    if (!wanted.requests && Clock::now() - begun > wanted.time) over = true;
    ::poll(nullptr, 0, 20);
  }
  for (std::thread& thread : threads) thread.join();

  while (!quiet()) ::poll(nullptr, 0, 20);
  // The question whether it is quiet came on a connection, too, which the daemon closes after it.
  std::size_t descriptors_after = descriptors_of(daemon);
  for (int look = 0; descriptors_after > descriptors && look < 500; ++look) {
    ::poll(nullptr, 0, 20);
    descriptors_after = descriptors_of(daemon);
  }
  const std::size_t resident_after = resident_kilobytes(daemon);
  MESSAGE(counts.answered.load() << " answered, " << counts.refused.load() << " refused, "
                                 << counts.left.load() << " left in the middle; "
                                 << menu.milliseconds.size() << " menus: p50 " << menu.at(0.5)
                                 << " ms, p99 " << menu.at(0.99) << " ms; descriptors "
                                 << descriptors << " and " << descriptors_after << ", resident "
                                 << resident / 1024 << " and " << resident_after / 1024 << " MB");
  CHECK(counts.odd == 0);
  CHECK(counts.left > 0);
  CHECK(counts.refused > 0);
  CHECK(counts.answered > counts.refused);
  CHECK(home.status()["model"]["sessions"] <= 3);  // one for each priority
  CHECK(descriptors_after <= descriptors);
  CHECK(resident_after <
        resident + std::size_t{192} * 1024);  // sessions, buffers, 32 MB of prompts
  CHECK(home.daemon_pid() == daemon);
  CHECK(editor.quit() == 0);
}
