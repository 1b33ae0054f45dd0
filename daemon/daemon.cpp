// The daemon's parts in the order in which they need each other.
#include "daemon/daemon.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "daemon/error.hpp"
#include "daemon/local_model.hpp"
#include "daemon/lock.hpp"
#include "daemon/server.hpp"
#include "daemon/status.hpp"
#include "daemon/version.hpp"
#include "lsp/jobs.hpp"
#include "lsp/server.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds farewell_patience{1'000};

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// An editor's session.
class LspPeer : public Peer {
 public:
  LspPeer(lsp::Host& host, lsp::Model& model, lsp::Jobs& jobs, const lsp::ServerOptions& options,
          std::function<void(std::string)> send)
      : server_(host, model, jobs, options,
                [send = std::move(send)](const json& message) { send(dump(message)); }) {}
  void receive(std::string body) override { server_.receive(std::move(body)); }
  bool finished() const override { return server_.exit_code().has_value(); }

 private:
  lsp::Server server_;
};

// Answers `hearth status` and its like.
class ControlPeer : public Peer {
 public:
  using Handler = std::function<json(const std::string& request)>;
  ControlPeer(Handler handler, std::function<void(std::string)> send)
      : handler_(std::move(handler)), send_(std::move(send)) {}

  void receive(std::string body) override {
    const json message = json::parse(body, nullptr, false);
    if (!message.is_object() || !message.value("request", json()).is_string()) {
      return send_(dump({{"error", "a request looks like {\"request\": \"status\"}"}}));
    }
    const auto request = message["request"].get<std::string>();
    const json result = handler_(request);
    send_(dump(result.is_discarded() ? json{{"error", "unknown request: " + request}}
                                     : json{{"result", result}}));
  }

 private:
  Handler handler_;
  std::function<void(std::string)> send_;
};

class Daemon {
 public:
  Daemon(const DaemonOptions& options, Log& log)
      : options_(options),
        log_(log),
        started_(std::chrono::steady_clock::now()),
        host_(log, options.paths.answers()),
        model_(host_, engine_options(options.config, options.model, options.paths.engine())),
        jobs_(host_, model_),
        server_(host_, options.paths.socket(),
                {[this] { return welcome(); },
                 [this](const Hello& hello, auto send) { return open(hello, std::move(send)); }}) {}

  void run() {
    host_.on_signal([this] { stop("a signal"); });
    busy_until_ = host_.now();
    watch_idleness();
    host_.run();
  }

 private:
  Welcome welcome() const {
    Welcome welcome;
    welcome.build = build();
    welcome.pid = ::getpid();
    welcome.model = options_.model.string();
    welcome.idle = is_idle();
    return welcome;
  }

  std::unique_ptr<Peer> open(const Hello& hello, std::function<void(std::string)> send) {
    if (hello.kind == ConnectionKind::control) {
      return std::make_unique<ControlPeer>(
          [this](const std::string& request) { return control(request); }, std::move(send));
    }
    log_.info("an editor connects: process " + std::to_string(hello.pid) + " in " + hello.cwd);
    const Config& config = options_.config;
    return std::make_unique<LspPeer>(
        host_, model_, jobs_,
        lsp::ServerOptions{version(), config.inline_hold, config.inline_max_tokens,
                           config.answer_max_tokens},
        std::move(send));
  }

  // Discarded for an unknown request.
  json control(const std::string& request) {
    if (request == "status") return status();
    if (request == "jobs") return jobs();
    if (request == "stop") {
      host_.post([this] { stop("hearth stop"); });
      return {{"stopping", true}};
    }
    return json(json::value_t::discarded);
  }

  json status() const {
    json clients = json::array();
    for (const auto& client : server_.clients()) {
      clients.push_back({{"pid", client.pid}, {"build", client.build}, {"cwd", client.cwd}});
    }
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(host_.now() - started_);
    return {{"pid", ::getpid()},
            {"version", version()},
            {"build", build()},
            {"uptimeSeconds", up.count()},
            {"clients", clients},
            {"model", to_json(model_.status())},
            {"jobs", jobs()},
            {"log", options_.paths.log().string()},
            {"config", options_.paths.config.string()}};
  }

  json jobs() const {
    json all = json::array();
    for (const auto* job : jobs_.all()) all.push_back(to_json(*job));
    return all;
  }

  bool is_idle() const { return server_.clients().empty() && model_.status().waiting == 0; }

  void watch_idleness() {
    const auto limit = options_.config.idle_exit;
    if (limit.count() == 0) return;
    if (!is_idle()) busy_until_ = host_.now();
    if (host_.now() - busy_until_ >= limit) return stop("nobody has needed it for long");
    const auto period = std::clamp(limit / 10, milliseconds(10), milliseconds(60'000));
    host_.after(period, [this] { watch_idleness(); });
  }

  void stop(const std::string& reason) {
    if (std::exchange(stopping_, true)) return;
    log_.info("stopping: " + reason);
    server_.shut_down([this] { host_.stop(); });
    host_.after(farewell_patience, [this] { host_.stop(); });
  }

  const DaemonOptions& options_;
  Log& log_;
  const std::chrono::steady_clock::time_point started_;
  AsioHost host_;
  LocalModel model_;
  lsp::Jobs jobs_;
  SocketServer server_;  // its sessions go first
  std::chrono::steady_clock::time_point busy_until_;
  bool stopping_ = false;
};

// The log is a convenience: a state directory that cannot be had is no reason to stop.
std::string prepare_state_directory(const Paths& paths) {
  try {
    make_private_directory(paths.state);
    make_private_directory(paths.engine());
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

// Where memory runs out, an editor's work is worth more than the daemon's, which is soon back.
void offer_itself_first() {
  std::ofstream("/proc/self/oom_score_adj") << 500;
}

}  // namespace

bool run_daemon(const DaemonOptions& options) {
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on a file's size is an error of its write
  make_private_directory(options.paths.runtime);
  const auto lock = DaemonLock::take(options.paths.lock());
  if (!lock) return false;

  offer_itself_first();
  const std::string no_state = prepare_state_directory(options.paths);
  Log log(no_state.empty() ? options.paths.log() : std::filesystem::path(),
          options.config.log_level, options.foreground);
  if (!no_state.empty()) log.warn(no_state);
  log.info("hearth " + build() + ", process " + std::to_string(::getpid()));
  Daemon daemon(options, log);
  if (options.ready) options.ready();
  if (::chdir("/") != 0) log.warn("cannot leave the working directory");
  daemon.run();
  log.info("stopped");
  return true;
}

}  // namespace hearth::daemon
