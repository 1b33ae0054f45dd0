// The daemon's parts in the order in which they need each other.
#include "daemon/daemon.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "daemon/config_watch.hpp"
#include "daemon/control.hpp"
#include "daemon/engines.hpp"
#include "daemon/forget.hpp"
#include "daemon/jobs/sqlite_store.hpp"
#include "daemon/parse_marks.hpp"
#include "daemon/platform/answer_files.hpp"
#include "daemon/platform/descriptors.hpp"
#include "daemon/platform/directory_watch.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/fatal_signal.hpp"
#include "daemon/platform/insist.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/platform/memory_reserve.hpp"
#include "daemon/platform/private_directory.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/prompt_files.hpp"
#include "daemon/prompt_trust_file.hpp"
#include "daemon/serve/door.hpp"
#include "daemon/status.hpp"
#include "daemon/transport/listener.hpp"
#include "lsp/context/index_pool.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/server.hpp"

namespace hearth::daemon {
namespace {

using lsp::dump;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds shutdown_notice_timeout{1'000};

lsp::Settings settings_of(const Config& config) {
  const auto set = [](const std::vector<std::string>& names) {
    return lsp::Settings::Names(names.begin(), names.end());
  };
  return {set(config.actions_disabled), set(config.off_languages), set(config.off_paths),
          config.inline_automatic};
}

// An editor's session.
class LspPeer : public Peer {
 public:
  // `gone` is called at its end. The options' counts are its own.
  LspPeer(lsp::Host& host, lsp::Model& model, lsp::Jobs& jobs, lsp::ServerOptions options,
          pid_t pid, std::function<void(std::string)> send, std::function<void()> ready,
          std::function<void(LspPeer&)> gone)
      : pid_(pid),
        gone_(std::move(gone)),
        server_(host, model, jobs, counting(std::move(options)),
                [send = std::move(send)](const json& message) { send(dump(message)); }) {
    server_.on_ready(std::move(ready));
  }
  ~LspPeer() override { gone_(*this); }
  pid_t pid() const { return pid_; }
  const lsp::InlineCounts& counts() const { return counts_; }
  void configure(const lsp::ServerOptions& options) { server_.configure(options); }
  void warn(const std::string& message) { server_.warn(message); }
  std::optional<lsp::IndexStatistics> index() const { return server_.index_statistics(); }
  void receive(std::string body) override { server_.receive(std::move(body)); }
  bool busy() const override { return server_.busy(); }
  bool finished() const override { return server_.exit_code().has_value(); }

 private:
  lsp::ServerOptions counting(lsp::ServerOptions options) {
    options.inline_counts = &counts_;
    return options;
  }

  const pid_t pid_;
  lsp::InlineCounts counts_;
  const std::function<void(LspPeer&)> gone_;
  lsp::Server server_;
};

class Daemon {
 public:
  // `no_state`: why there is no state directory, if there is none.
  Daemon(const DaemonOptions& options, const DaemonLock& lock, std::string no_state, Log& log)
      : options_(options),
        lock_(lock),
        no_state_(std::move(no_state)),
        log_(log),
        started_(std::chrono::steady_clock::now()),
        marks_(options.paths.parsing(), log),
        trust_(options.paths.trusted_prompts(),
               [&log](const std::string& what) { log.warn(what); }),
        answers_(options.paths.answers(), options.config.answer_keep),
        host_(log, answers_),
        store_(make_job_store(host_, options.paths, [this] { tell_notices(); })),
        engines_(host_, options.config, options.model, options.paths.engine(),
                 [this] { tell_notices(); }),
        jobs_(host_, engines_.model(), *store_),
        control_(
            host_, engines_.model(), jobs_,
            {[this] { return status(); }, [this] { host_.post([this] { stop("hearth stop"); }); },
             [this] { busy_until_ = host_.now(); },
             [this](const json& message, const ControlReply& reply) {
               const ForgetRequest request = parse_forget(message);
               if (door_ && request.removes()) door_->forget();
               forget_in_daemon(request, options_.paths, jobs_, *store_, engines_, trust_, reply);
             },
             [this](bool open) { return work_door(open); },
             [this](bool take) { return engines_.use_gpu(take); },
             [this] { return engines_.device(); }},
            &engines_.completions()),
        config_(host_, options.paths.config, options.config,
                {[this] { apply_config(); },
                 [this](const std::string& notice) {
                   if (!notice.empty()) warn(notice);
                   tell_notices();
                 }}),
        server_(host_, options.paths.socket(),
                {[this] { return welcome(); },
                 [this](const Hello& hello, auto send, auto ready) {
                   return open(hello, std::move(send), std::move(ready));
                 }}),
        place_(host_, options.paths.runtime, [this] { look_after_place(); }) {
    if (LocalModel* const local = engines_.local()) {
      door_.emplace(
          host_, options.paths, *local, engines_.local_completions(),
          [local] { return local->status(); },
          SwitchCalls{options_.paths.models, [this] { return is_working(); },
                      [this](std::filesystem::path model) {
                        next_model_ = std::move(model);
                        stop("a request asks for " + next_model_.filename().string());
                      }});
    }
  }

  void run() {
    host_.on_signal([this] { stop("a signal"); });
    remove_old_answers();
    for (const std::string& fault : prompts_.faults()) log_.warn(fault);
    jobs_.restore();
    remove_old_jobs();
    busy_until_ = host_.now();
    if (options_.config.serve_open || options_.serve)
      try_door([this] { door().open(door_options()); });
    watch_idleness();
    look_after_place();  // what went before it was watched
    host_.run();
  }

  // To begin anew with, behind run(); empty: it is over.
  const std::filesystem::path& next_model() const { return next_model_; }

 private:
  Welcome welcome() const {
    Welcome welcome;
    welcome.build = build();
    welcome.pid = ::getpid();
    welcome.model = engines_.name();
    welcome.idle = is_idle();
    return welcome;
  }

  std::unique_ptr<Peer> open(const Hello& hello, std::function<void(std::string)> send,
                             std::function<void()> ready) {
    if (hello.kind == ConnectionKind::control) return control_.open(std::move(send));
    log_.info("an editor connects: process " + std::to_string(hello.pid) + " in " + hello.cwd);
    auto editor = std::make_unique<LspPeer>(host_, engines_.model(), jobs_, server_options(),
                                            hello.pid, std::move(send), std::move(ready),
                                            [this](LspPeer& gone) { editor_gone(gone); });
    editors_.insert(editor.get());
    return editor;
  }

  void editor_gone(LspPeer& editor) {
    editors_.erase(&editor);
    counts_of_gone_ += editor.counts();
    remove_old_jobs();
    watch_idleness();
  }

  lsp::ServerOptions server_options() {
    const Config& config = config_.running();
    lsp::ServerOptions options;
    options.version = version();
    options.inline_hold = config.inline_hold;
    options.inline_debounce = config.inline_debounce;
    options.inline_max_tokens = config.inline_max_tokens;
    options.inline_max_read = config.inline_max_read;
    options.completion_model = &engines_.completions();
    options.sent_to = engines_.sent_to();
    options.answer_max_tokens = config.answer_max_tokens;
    options.thinking_mode = config.thinking_mode;
    options.thinking_budget = config.thinking_budget;
    options.settings = settings_of(config);
    options.notices = notices();
    options.parse_guard = &marks_;
    options.prompt_trust = &trust_;
    options.indexes = &indexes_;
    options.user_wording = [this](const std::string& action) { return prompts_.read(action); };
    return options;
  }

  json status() const {
    json clients = json::array();
    for (const auto& client : server_.clients()) {
      json shown{{"pid", client.pid}, {"build", client.build}, {"cwd", client.cwd}};
      for (const LspPeer* editor : editors_) {
        if (editor->pid() != client.pid) continue;
        shown["inline"] = to_json(editor->counts());
        if (const auto index = editor->index()) shown["index"] = to_json(*index);
      }
      clients.push_back(std::move(shown));
    }
    lsp::InlineCounts counts = counts_of_gone_;
    for (const LspPeer* editor : editors_) counts += editor->counts();
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(host_.now() - started_);
    json status{
        {"pid", ::getpid()},
        {"version", version()},
        {"build", build()},
        {"uptimeSeconds", up.count()},
        {"clients", clients},
        {"inline", inline_status(engines_.completing(), config_.running().inline_max_read, counts)},
        {"jobs", jobs_json(jobs_)},
        {"jobsNotice", jobs_notice(store_->failure())},
        {"log", options_.paths.log().string()},
        {"logError", no_state_.empty() ? log_.refused() : no_state_},
        {"config", options_.paths.config.string()},
        {"configNotice", config_.notice()},
        {"serve", door_ ? door_->status() : json()},
        {"serveNotice", door_notice_}};
    engines_.add_status(status);
    return status;
  }

  DoorOptions door_options() const {
    const Config& config = config_.running();
    DoorOptions options;
    options.listen = config.serve_listen;
    options.port = static_cast<std::uint16_t>(config.serve_port);
    options.tls = {at_home(config.serve_certificate), at_home(config.serve_key)};
    options.plain = config.serve_plain;
    options.origins = config.serve_origins;
    options.api = {config.serve_priority, config.serve_aliases, config.serve_switch,
                   config.thinking_mode, config.thinking_budget};
    return options;
  }

  // Of `hearth serve`. Throws Error.
  json work_door(bool open) {
    if (open)
      door().open(door_options());
    else
      door().close();
    door_notice_.clear();
    watch_idleness();
    return door().status();
  }

  // Throws Error.
  Door& door() {
    if (door_) return *door_;
    throw Error("`hearth serve` offers a model of this machine, and there is none beside " +
                engines_.name() + ": ask that server, or set model.path too");
  }

  // Where nobody waits for how it ends: what is wrong is a notice.
  void try_door(const std::function<void()>& call) {
    try {
      call();
      door_notice_.clear();
    } catch (const Error& error) {
      door_notice_ = error.what();
      log_.warn(door_notice_);
    }
    tell_notices();
  }

  void remove_old_answers() {
    const std::size_t removed = answers_.expire();
    if (removed > 0) log_.info("removed " + std::to_string(removed) + " answers that were old");
  }

  // Looked at when something else wakes the daemon.
  void remove_old_jobs() {
    const auto keep = config_.running().jobs_keep;
    if (keep.count() == 0) return;
    const auto oldest = std::chrono::system_clock::now() - keep;
    const std::size_t removed = jobs_.forget(
        [oldest](const lsp::Job& job) { return lsp::ended(job.state) && job.changed < oldest; });
    if (removed > 0) log_.info("removed " + std::to_string(removed) + " jobs that were old");
  }

  void apply_config() {
    const Config& config = config_.running();
    log_.set_level(config.log_level);
    answers_.keep_for(config.answer_keep);
    for (LspPeer* editor : editors_) editor->configure(server_options());
    remove_old_answers();
    remove_old_jobs();
    if (door_) try_door([this] { door_->configure(door_options()); });
    watch_idleness();
  }

  // What is wrong beside the model, for hearth/status.
  std::vector<std::string> notices() const {
    std::vector<std::string> notices{no_state_, jobs_notice(store_->failure()), config_.notice(),
                                     door_notice_};
    std::ranges::copy(engines_.notices(), std::back_inserter(notices));
    std::erase(notices, std::string());
    return notices;
  }

  void tell_notices() {
    for (LspPeer* editor : editors_) editor->configure(server_options());
  }

  void warn(const std::string& notice) {
    for (LspPeer* editor : editors_) editor->warn("hearth: " + notice);
  }

  bool is_working() const { return jobs_.is_any_running() || engines_.waiting() > 0; }

  bool is_idle() const {
    const bool open = door_ && door_->is_open();
    return !open && server_.clients().empty() && engines_.waiting() == 0;
  }

  // At the start, when an editor leaves, and when the time may be over: nothing wakes a daemon that
  // nobody needs before that.
  void watch_idleness() {
    const auto limit = config_.running().idle_exit;
    if (limit.count() == 0 || stopping_) return;
    if (!is_idle()) busy_until_ = host_.now();
    const auto left = std::chrono::ceil<milliseconds>(busy_until_ + limit - host_.now());
    if (left.count() <= 0) return stop("nobody has needed it for long");
    host_.cancel_timer(idle_timer_);
    // Without memory for that it would never be idle.
    const bool watching =
        insist([&] { idle_timer_ = host_.after(left, [this] { watch_idleness(); }); });
    if (!watching) host_.stop();
  }

  // Lock and socket are names in a directory that its user can empty at any time.
  void look_after_place() {
    if (stopping_) return;
    if (!lock_.on_disk()) return stop(lock_.path().string() + " is not its lock any more");
    if (server_.on_disk()) return;
    const std::string socket = options_.paths.socket().string();
    log_.warn(socket + " is not its socket any more: making it anew");
    try {
      server_.listen_again();
    } catch (const Error& error) {
      stop(error.what());
    }
  }

  void stop(const std::string& reason) {
    if (std::exchange(stopping_, true)) return;
    try {
      engines_.hold();
      log_.info("stopping: " + reason);
      if (door_) door_->close();
      host_.after(shutdown_notice_timeout, [this] { host_.stop(); });
      server_.shut_down([this] { host_.stop(); });
    } catch (const std::exception&) {
      host_.stop();  // in less order, then
    }
  }

  const DaemonOptions& options_;
  const DaemonLock& lock_;
  const std::string no_state_;
  Log& log_;
  const std::chrono::steady_clock::time_point started_;
  ParseMarks marks_;
  PromptTrustFile trust_;
  const PromptFiles prompts_{options_.paths.prompts()};
  AnswerFiles answers_;
  AsioHost host_;
  lsp::IndexPool indexes_{host_, &marks_};
  const std::unique_ptr<lsp::JobStore> store_;
  Engines engines_;
  lsp::Jobs jobs_;
  Control control_;
  std::optional<Door> door_;          // of a model of this machine, if there is one
  std::filesystem::path next_model_;  // which a request asked for; empty: none did
  std::string door_notice_;           // why it is not open
  ConfigWatch config_;
  std::chrono::steady_clock::time_point busy_until_;  // as far as it is known
  lsp::Host::TimerId idle_timer_ = 0;
  bool stopping_ = false;
  std::set<LspPeer*> editors_;
  lsp::InlineCounts counts_of_gone_;
  SocketServer server_;  // its sessions go before all the rest
  DirectoryWatch place_;
};

// What is kept there is a convenience: a state directory that cannot be had is no reason to stop.
// Then nothing at all is kept, and the reason is returned.
std::string prepare_state_directory(Paths& paths) {
  try {
    const PrivateDirectory state(paths.state);
    static_cast<void>(state.below("engine").below("inline"));
    static_cast<void>(state.below("answers"));
    return {};
  } catch (const Error& error) {
    paths.state.clear();
    return std::string(error.what()) +
           ": nothing is kept from this start to the next, no log either";
  }
}

// Where memory runs out, an editor's work is worth more than the daemon's, which is soon back.
void offer_itself_first() {
  std::ofstream("/proc/self/oom_score_adj") << 500;
}

}  // namespace

bool run_daemon(DaemonOptions options) {
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on a file's size is an error of its write
  reserve_memory();
  make_private_directory(options.paths.runtime);
  const auto lock = DaemonLock::take(options.paths.lock());
  if (!lock) return false;
  reserve_descriptors(options.model);

  offer_itself_first();
  const std::string no_state = prepare_state_directory(options.paths);
  Log log(options.paths.log(), options.config.log_level, options.foreground);
  if (!no_state.empty()) log.warn(no_state);
  log_fatal_signals(options.paths.log());
  log.info("hearth " + build() + ", process " + std::to_string(::getpid()));
  auto daemon = std::make_unique<Daemon>(options, *lock, no_state, log);
  if (options.ready) options.ready();
  if (::chdir("/") != 0) log.warn("cannot leave the working directory");
  for (;;) {
    daemon->run();
    if (daemon->next_model().empty()) break;
    options.model = daemon->next_model();
    options.serve = true;
    daemon.reset();  // the old model's memory is the new one's
    daemon = std::make_unique<Daemon>(options, *lock, no_state, log);
  }
  log.info("stopped");
  return true;
}

}  // namespace hearth::daemon
