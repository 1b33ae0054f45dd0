// The player: reads lines, drives the server, compares what it sends.
#include "tests/lsp/transcript.hpp"

#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using Json = nlohmann::json;

bool matches_text(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  pattern.remove_prefix(star + 1);
  text.remove_prefix(star);
  for (std::size_t skipped = 0; skipped <= text.size(); ++skipped) {
    if (matches_text(pattern, text.substr(skipped))) return true;
  }
  return false;
}

bool matches(const Json& pattern, const Json& value);

bool matches_object(const Json& pattern, const Json& value) {
  const bool open = pattern.contains("...");
  if (!open && pattern.size() != value.size()) return false;
  for (const auto& [key, expected] : pattern.items()) {
    if (key == "...") continue;
    if (!value.contains(key) || !matches(expected, value[key])) return false;
  }
  return true;
}

bool matches(const Json& pattern, const Json& value) {
  if (pattern == "*") return true;
  if (pattern.is_string() && value.is_string()) {
    return matches_text(pattern.get<std::string>(), value.get<std::string>());
  }
  if (pattern.is_object() && value.is_object()) return matches_object(pattern, value);
  if (pattern.is_array() && value.is_array()) {
    const bool open = !pattern.empty() && pattern.back() == "...";
    if (open) {
      return pattern.size() <= value.size() + 1 &&
             std::equal(pattern.begin(), pattern.end() - 1, value.begin(), matches);
    }
    return std::equal(pattern.begin(), pattern.end(), value.begin(), value.end(), matches);
  }
  return pattern == value;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

std::string unescaped(std::string text) {
  replace_all(text, "\\n", "\n");
  replace_all(text, "\\r", "\r");
  replace_all(text, "\\t", "\t");
  for (std::size_t at = 0; (at = text.find("\\x", at)) != std::string::npos; ++at) {
    text.replace(at, 4, 1, static_cast<char>(std::stoi(text.substr(at + 2, 2), nullptr, 16)));
  }
  return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

struct Line {
  int number = 0;
  std::string text;                // with its continuation lines
  std::vector<std::string> block;  // "  | " lines
};

std::vector<Line> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::vector<Line> lines;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.empty() || text.front() == '#') continue;
    if (text.starts_with("  | ") || text == "  |") {
      lines.back().block.push_back(text.substr(std::min<std::size_t>(4, text.size())));
    } else if (text.front() == ' ') {
      lines.back().text += text;
    } else {
      lines.push_back({number, text, {}});
    }
  }
  return lines;
}

std::string all_text(const Prompt& prompt) {
  std::string text;
  for (const Message& message : prompt.messages) text += text_of(message.segments) + "\n";
  return text;
}

class Player {
 public:
  Player() { start_server({}); }
  void play(const Line& line) {
    for (const auto& [word, handler] : handlers_) {
      if (!line.text.starts_with(word)) continue;
      const bool expectation = word.starts_with("<--");
      if (!expectation) expect_nothing_more();
      std::string rest = line.text.substr(word.size());
      rest.erase(0, rest.find_first_not_of(' '));
      handler(rest, line);
      host_.run();
      return;
    }
    throw std::runtime_error("not a line of a transcript: " + line.text);
  }
  void expect_nothing_more() const {
    if (!sent_.empty()) throw std::runtime_error("the server also sent " + sent_.front().dump());
  }

 private:
  using Handler = std::function<void(const std::string& rest, const Line& line)>;

  void start_server(ServerOptions options) {
    options.version = "1.2.3";
    options.inline_debounce = inline_debounce_;
    options.inline_counts = &counts_;
    server_.emplace(host_, daemon_->model, *daemon_->jobs, std::move(options),
                    [this](const Json& message) { sent_.push_back(message); });
  }
  void send(Json message) {
    message["jsonrpc"] = "2.0";
    server_->receive(message.dump());
    host_.run();
  }
  void expect_message(const std::string& pattern) {
    if (sent_.empty()) throw std::runtime_error("the server sent nothing");
    Json message = sent_.front();
    sent_.pop_front();
    message.erase("jsonrpc");
    if (!matches(Json::parse(pattern), message)) {
      throw std::runtime_error("the server sent " + message.dump());
    }
  }
  void connect(const std::string& text) {
    if (!server_) start_server({});
    Json params = Json::parse(text);
    if (!params.contains("capabilities")) params["capabilities"] = Json::object();
    send({{"id", "connect"}, {"method", "initialize"}, {"params", params}});
    expect_message(R"({"id": "connect", "result": "*"})");
    send({{"method", "initialized"}, {"params", Json::object()}});
  }
  void open(const std::string& text, const Line& line) {
    std::istringstream words(text);
    std::string language;
    words >> uri_ >> language;
    version_ = 1;
    std::string content;
    for (const std::string& one : line.block) content += one + "\n";
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri_},
              {"languageId", language},
              {"version", version_},
              {"text", content}}}}}});
  }
  void type(const std::string& text) {
    std::size_t used = 0;
    const int number = std::stoi(text, &used);
    std::string rest = text.substr(used + 1);
    const int character = std::stoi(rest, &used);
    rest = unescaped(rest.substr(used + 1));
    const Json at{{"line", number}, {"character", character}};
    send({{"method", "textDocument/didChange"},
          {"params",
           {{"textDocument", {{"uri", uri_}, {"version", ++version_}}},
            {"contentChanges",
             Json::array({{{"range", {{"start", at}, {"end", at}}}, {"text", rest}}})}}}});
  }
  void model_saw(const std::string& pattern) {
    if (daemon_->model.prompts.empty()) throw std::runtime_error("the model has seen nothing");
    const Prompt& prompt = daemon_->model.prompts.back();
    const Json seen = prompt.kind == Prompt::Kind::chat ? Json{{"text", all_text(prompt)}}
                                                        : Json{{"prefix", text_of(prompt.prefix)},
                                                               {"suffix", text_of(prompt.suffix)}};
    if (!matches(Json::parse(pattern), seen)) {
      throw std::runtime_error("the model saw " + seen.dump());
    }
  }
  void expect_answer(const std::string& text) {
    const std::size_t blank = text.find(' ');
    const std::string name = text.substr(0, blank);
    const auto found = host_.answers.find(name);
    if (found == host_.answers.end()) throw std::runtime_error("there is no answer " + name);
    if (!matches_text(unescaped(text.substr(blank + 1)), found->second)) {
      throw std::runtime_error("the answer is " + Json(found->second).dump());
    }
  }
  // NUMBER STATE text so far
  void expect_job(const std::string& text) const {
    std::istringstream words(text);
    JobId id = 0;
    words >> id;
    const Job* const job = daemon_->jobs->find(id);
    if (job == nullptr) throw std::runtime_error("there is no such job");
    const std::string now =
        std::to_string(id) + " " + std::string(name(job->state)) + " " + job->text;
    if (!matches_text(unescaped(text), now)) throw std::runtime_error("the job is " + now);
  }
  static void expect_count(std::string_view what, int expected, int counted) {
    if (expected == counted) return;
    throw std::runtime_error(std::string(what) + ": " + std::to_string(counted));
  }
  void expect_counts(const std::string& text) {
    const std::string counted = std::to_string(counts_.shown) + " shown, " +
                                std::to_string(counts_.accepted) + " accepted, " +
                                std::to_string(counts_.rejected) + " rejected";
    if (text != counted) throw std::runtime_error("counted: " + counted);
  }
  static std::chrono::milliseconds duration(const std::string& text) {
    const bool in_ms = text.ends_with("ms");
    return std::chrono::milliseconds(std::stoi(text) * (in_ms ? 1 : 1000));
  }

  // Killed, and another one in its place: what is not in the store is gone.
  void restart_daemon() {
    std::vector<JobRecord> records = daemon_->store.records();
    server_.reset();
    dead_.push_back(std::move(daemon_));
    dead_.back()->jobs.reset();
    daemon_ = std::make_unique<Daemon>(host_, std::move(records));
    for (auto& pieces : std::exchange(next_says_, {})) daemon_->model.say(std::move(pieces));
    daemon_->jobs->restore();
  }

  // What a process of the daemon has, beside its sessions.
  struct Daemon {
    explicit Daemon(VirtualHost& host, std::vector<JobRecord> records = {})
        : model(host), store(host, std::move(records)), jobs(std::in_place, host, model, store) {}
    ScriptedModel model;
    MemoryJobStore store;
    std::optional<Jobs> jobs;
  };

  VirtualHost host_;
  std::unique_ptr<Daemon> daemon_ = std::make_unique<Daemon>(host_);
  std::vector<std::vector<std::string>> next_says_;
  std::vector<std::unique_ptr<Daemon>> dead_;  // timers may know them
  std::deque<Json> sent_;
  InlineCounts counts_;
  std::chrono::milliseconds inline_debounce_{0};
  std::optional<Server> server_;
  std::string uri_;
  int version_ = 0;

  const std::vector<std::pair<std::string, Handler>> handlers_{
      {"client ", [this](const auto& rest, const auto&) { connect(rest); }},
      {"--> ", [this](const auto& rest, const auto&) { send(Json::parse(rest)); }},
      {"<-- ", [this](const auto& rest, const auto&) { expect_message(rest); }},
      {"raw", [this](const auto& rest, const auto&) { server_->receive(unescaped(rest)); }},
      {"open ", [this](const auto& rest, const auto& line) { open(rest, line); }},
      {"type ", [this](const auto& rest, const auto&) { type(rest); }},
      {"editor goes", [this](const auto&, const auto&) { server_.reset(); }},
      {"daemon is killed", [this](const auto&, const auto&) { restart_daemon(); }},
      {"job ", [this](const auto& rest, const auto&) { expect_job(rest); }},
      {"clock ", [this](const auto& rest, const auto&) { host_.advance(duration(rest)); }},
      {"model loads", [this](const auto&, const auto&) { daemon_->model.load(); }},
      {"model has loaded ",
       [this](const auto& rest, const auto&) {
         std::istringstream words(rest);
         std::int64_t seconds = 0;
         words >> daemon_->model.loading_progress.percentage >> seconds;
         daemon_->model.loading_progress.eta = std::chrono::seconds(seconds);
       }},
      {"model usually takes ",
       [this](const auto& rest, const auto&) { daemon_->model.usual = duration(rest); }},
      {"model reads ",
       [this](const auto& rest, const auto&) {
         daemon_->model.profile.completion_speed = std::stod(rest);
       }},
      {"model cannot load ",
       [this](const auto& rest, const auto&) { daemon_->model.fail_loading(rest); }},
      {"model says ",
       [this](const auto& rest, const auto&) { daemon_->model.say(split(unescaped(rest), '|')); }},
      {"next model says ",
       [this](const auto& rest, const auto&) {
         next_says_.push_back(split(unescaped(rest), '|'));
       }},
      {"model signs ", [this](const auto& rest, const auto&) { daemon_->model.by = rest; }},
      {"model thinks ",
       [this](const auto& rest, const auto&) { daemon_->model.think(std::stoi(rest)); }},
      {"inline debounce ",
       [this](const auto& rest, const auto&) {
         inline_debounce_ = duration(rest);
         start_server({});
       }},
      {"thinking budget ",
       [this](const auto& rest, const auto&) {
         ServerOptions options;
         options.thinking_budget = std::stoi(rest);
         start_server(std::move(options));
       }},
      {"model fails ", [this](const auto& rest, const auto&) { daemon_->model.fail(rest); }},
      {"model steps ",
       [this](const auto& rest, const auto&) {
         expect_count("steps", std::stoi(rest), daemon_->model.steps);
       }},
      {"model saw ", [this](const auto& rest, const auto&) { model_saw(rest); }},
      {"model was asked ",
       [this](const auto& rest, const auto&) {
         expect_count("asked", std::stoi(rest), static_cast<int>(daemon_->model.prompts.size()));
       }},
      {"counted ", [this](const auto& rest, const auto&) { expect_counts(rest); }},
      {"disk full", [this](const auto&, const auto&) { host_.disk_full = true; }},
      {"answers written ",
       [this](const auto& rest, const auto&) {
         expect_count("answers written", std::stoi(rest), host_.answers_written);
       }},
      {"answer ", [this](const auto& rest, const auto&) { expect_answer(rest); }},
      {"exit code ",
       [this](const auto& rest, const auto&) {
         expect_count("exit code", std::stoi(rest), server_->exit_code().value_or(-1));
       }},
  };
};

}  // namespace

void play_transcript(const std::filesystem::path& file) {
  Player player;
  int number = 0;
  try {
    for (const Line& line : read_lines(file)) {
      number = line.number;
      player.play(line);
    }
    player.expect_nothing_more();
  } catch (const std::exception& error) {
    throw std::runtime_error(file.filename().string() + ":" + std::to_string(number) + ": " +
                             error.what());
  }
}

}  // namespace hearth::lsp::test
