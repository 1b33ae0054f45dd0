// A client's bytes, as they come over the socket, into the reader and from there into a session
// with a model that answers at once, and a workspace of two files. Every request with an id of its
// own gets exactly one reply.
//
// The input's first byte says how the rest is divided into reads. Where the rest begins with '{' it
// is one body for each line, so that the fuzzer need not learn to count, or says what else happens:
//   !says TEXT   the model's next answer, \n in it for a line's end: it is no more trusted
//   !timers      all that is waited for comes
//   !kill        the process ends, and another goes on with what was written down
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/wire.hpp"
#include "lsp/server.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace {

using namespace hearth::lsp;
using nlohmann::json;

// An empty folder, which is where the workspace file:///p lies; its files are made up.
const std::string& folder() {
  struct Made {
    Made() {
      std::string name = (std::filesystem::temp_directory_path() / "fuzz-wire-XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) std::abort();
      path = std::filesystem::canonical(name).string();
    }
    Made(const Made&) = delete;
    Made& operator=(const Made&) = delete;
    ~Made() {
      std::error_code left;
      std::filesystem::remove(path, left);
    }
    std::string path;
  };
  static const Made made;
  return made.path;
}

class QueueHost : public Host {
 public:
  void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void background(std::function<void()> work, std::function<void()> then) override {
    post(std::move(work));
    post(std::move(then));
  }
  // Timers run when nothing else is left to do.
  TimerId after(std::chrono::milliseconds, std::function<void()> task) override {
    timers_.emplace(++last_timer_, std::move(task));
    return last_timer_;
  }
  void cancel_timer(TimerId id) override { timers_.erase(id); }
  std::chrono::steady_clock::time_point now() const override { return {}; }
  std::chrono::system_clock::time_point time() const override { return {}; }
  std::string write_answer(std::string_view name, std::string_view) override {
    return "file:///" + std::string(name);
  }
  std::string answers_kept_until() const override { return "2026-12-06"; }
  std::vector<DirectoryEntry> list_directory(const std::string& path) const override {
    if (path == folder() || path == folder() + "/") return {{"b.py", false}, {"lib", true}};
    return path == folder() + "/lib" ? std::vector<DirectoryEntry>{{"c.py", false}}
                                     : std::vector<DirectoryEntry>{};
  }
  std::optional<std::string> read_file(const std::string& path, std::size_t) const override {
    const auto real = real_path(path);
    if (real == folder() + "/b.py") return "def b(x):\n    return x\n";
    return real == folder() + "/lib/c.py" ? std::optional("from b import b\n\nb(1)\n")
                                          : std::nullopt;
  }
  std::optional<std::string> real_path(const std::string& path) const override {
    std::string real = path.starts_with("/p/") || path == "/p" ? folder() + path.substr(2) : path;
    while (real.size() > 1 && real.ends_with('/')) real.pop_back();
    const bool there = real == "/" || real == folder() || real == folder() + "/b.py" ||
                       real == folder() + "/lib" || real == folder() + "/lib/c.py";
    return there ? std::optional(real) : std::nullopt;
  }
  bool is_there(const std::string& path) const override { return real_path(path).has_value(); }
  void log(LogLevel, std::string_view) override {}

  void run() {
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  void run_timers() {
    run();
    for (int left = 100; left > 0 && !timers_.empty(); --left) {
      const auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
      run();
    }
  }

 private:
  std::deque<std::function<void()>> tasks_;
  std::map<TimerId, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
};

// Writes two pieces for every prompt: what it was told to say, else code in a block where a chat is
// asked, which may become an edit.
class EagerModel : public Model {
 public:
  explicit EagerModel(Host& host) : host_(host) {}

  void describe(Callback<ModelDescription> done) override {
    ModelDescription description;
    description.profile.context_tokens = 4000;
    description.profile.fim_prefix_tokens = 500;
    description.profile.fim_suffix_tokens = 100;
    host_.post([done, description] { done(description); });
  }
  LoadingProgress loading() const override { return {}; }
  void count_tokens(std::vector<std::string> texts,
                    Callback<std::vector<std::int64_t>> done) override {
    std::vector<std::int64_t> counts;
    for (const std::string& text : texts) counts.push_back(static_cast<std::int64_t>(text.size()));
    host_.post([done, counts] { done(counts); });
  }
  void estimate(Prompt, Callback<Estimate> done) override {
    host_.post([done] { done(Estimate{}); });
  }
  void inspect(Prompt, const GenerateOptions&, Callback<std::vector<PromptPiece>> done) override {
    host_.post([done] { done(std::vector<PromptPiece>{{"a prompt", 2, std::nullopt}}); });
  }
  std::optional<std::chrono::milliseconds> usual_time(Prompt::Kind, std::int64_t,
                                                      const GenerateOptions&) const override {
    return std::chrono::seconds(40);
  }
  GenerationId prefill(Prompt prompt, Callback<Estimate> done) override {
    estimate(std::move(prompt), std::move(done));
    return ++last_;
  }
  GenerationId generate(Prompt prompt, GenerateOptions, GenerationEvents events) override {
    const bool chat = prompt.kind == Prompt::Kind::chat;
    std::string first = chat ? "```python\ndef f(x):\n" : "a)\n";
    const std::string second = chat && says.empty() ? "    return x + 1\n```\n" : "b";
    if (chat && !says.empty()) first = std::exchange(says, {});
    host_.post([events, first, second] {
      if (events.on_progress) events.on_progress({});
      if (events.on_text) events.on_text(first);
      if (events.on_text) events.on_text(second);
      Answer answer;
      answer.text = first + second;
      events.on_done(answer);
    });
    return ++last_;
  }
  void cancel(GenerationId) override {}

  std::string says;  // in the next chat

 private:
  Host& host_;
  GenerationId last_ = 0;
};

class Client {
 public:
  Client() { begin(); }
  void receive(const std::string& body) {
    note_request(body);
    server_->receive(body);
    host_.run();
  }
  void says(std::string_view text) {
    for (std::size_t at = text.find("\\n"); at != text.npos; at = text.find("\\n")) {
      model_.says.append(text.substr(0, at)).append("\n");
      text.remove_prefix(at + 2);
    }
    model_.says.append(text);
    // As an engine's: text that is no UTF-8 never leaves it.
    model_.says = valid_utf8(std::move(model_.says));
  }
  void run_timers() { host_.run_timers(); }
  // Its requests get no reply any more; the next client's get theirs.
  void kill() {
    host_.run_timers();
    const std::vector<JobRecord> records = store_->records();
    server_.reset();
    jobs_.reset();
    host_.run_timers();
    store_ = std::make_unique<MemoryJobStore>(host_, records);
    open_.clear();
    begin();
    jobs_->restore();
    host_.run();
  }
  // All that is waited for comes, then the session ends.
  void finish() {
    host_.run_timers();
    for (const auto& [id, open] : open_) {
      if (open != 0 && certain_) std::abort();
    }
    server_.reset();
    host_.run_timers();
  }

 private:
  void begin() {
    jobs_ = std::make_unique<Jobs>(host_, model_, *store_);
    server_ = std::make_unique<Server>(host_, model_, *jobs_, ServerOptions{},
                                       [this](const json& message) { sent(message); });
  }
  void note_request(const std::string& body) {
    // The server repairs some bodies that are no JSON and refuses some that are.
    const json message = json::parse(body, nullptr, false);
    constexpr std::ptrdiff_t harmless = 100;
    const bool deep = std::count(body.begin(), body.end(), '[') > harmless ||
                      std::count(body.begin(), body.end(), '{') > harmless;
    if (message.is_discarded() || deep) certain_ = false;
    if (!message.is_object() || !message.contains("method") || !message["method"].is_string())
      return;
    // What is open at the end of a session is dropped with it.
    if (message["method"] == "exit") certain_ = false;
    if (!message.contains("id") || message.value("jsonrpc", json()) != "2.0") return;
    const json& id = message["id"];
    if (id.is_number_integer() || id.is_string()) ++open_[id.dump()];
  }
  void sent(const json& message) {
    const std::string bytes = message.dump();  // throws on text that is not UTF-8
    if (message.contains("method") || message["id"].is_null()) return;
    if (--open_[message["id"].dump()] < 0 && certain_) std::abort();
  }

  QueueHost host_;
  EagerModel model_{host_};
  std::unique_ptr<MemoryJobStore> store_ = std::make_unique<MemoryJobStore>(host_);
  std::unique_ptr<Jobs> jobs_;
  std::map<std::string, int> open_;  // by id: requests less replies
  bool certain_ = true;              // that open_ counts what the server counts
  std::unique_ptr<Server> server_;
};

void feed_lines(Client& client, std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    constexpr std::string_view says = "!says ";
    if (line.starts_with(says)) {
      client.says(line.substr(says.size()));
    } else if (line == "!timers") {
      client.run_timers();
    } else if (line == "!kill") {
      client.kill();
    } else {
      client.receive(std::string(line));
    }
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
  }
}

void feed_bytes(Client& client, std::string_view bytes, std::size_t piece) {
  MessageReader reader;
  try {
    while (!bytes.empty()) {
      reader.push(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(bytes.size(), piece));
      while (const auto body = reader.next()) client.receive(*body);
    }
  } catch (const WireError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Client client;
  if (rest.starts_with('{')) {
    feed_lines(client, rest);
  } else {
    feed_bytes(client, rest, data[0] + std::size_t{1});
  }
  client.finish();
  return 0;
}
