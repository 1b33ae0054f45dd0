// AsioHost: one io_context and two thread pools.
#include "daemon/platform/asio_host.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <filesystem>
#include <map>

#include "daemon/platform/fatal_signal.hpp"
#include "daemon/platform/idle_priority.hpp"
#include "daemon/platform/insist.hpp"
#include "daemon/platform/memory_reserve.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/disk.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::size_t background_threads = 2;

}  // namespace

struct AsioHost::Impl {
  Impl(Log& to, AnswerFiles& files) : log(to), answers(files) {}

  void out_of_memory() {
    log.error("out of memory: the daemon ends, the next one goes on");
    io.stop();
  }

  Log& log;
  AnswerFiles& answers;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> stay{io.get_executor()};
  asio::signal_set signals{io};
  std::map<TimerId, asio::steady_timer> timers;
  TimerId last_timer = 0;
  asio::thread_pool pool{background_threads};
  asio::thread_pool idle{1};
};

AsioHost::AsioHost(Log& log, AnswerFiles& answers) : impl_(std::make_unique<Impl>(log, answers)) {
  asio::post(impl_->idle, take_idle_priority);
}

AsioHost::~AsioHost() {
  stop();
  for (asio::thread_pool* const pool : {&impl_->pool, &impl_->idle}) {
    pool->stop();  // work that has not begun is dropped
    pool->join();
  }
}

// Others wait for what is posted, on threads that nobody could tell: it is not lost.
void AsioHost::post(std::function<void()> task) {
  restore_memory_reserve();
  std::shared_ptr<std::function<void()>> kept;
  const bool posted = insist([&] {
    if (!kept) kept = std::make_shared<std::function<void()>>(std::move(task));
    asio::post(impl_->io, [kept] { (*kept)(); });
  });
  if (!posted) impl_->out_of_memory();
}

void AsioHost::run_in(boost::asio::thread_pool& pool, std::function<void()> work,
                      std::function<void()> then) {
  struct Tasks {
    std::function<void()> work;
    std::function<void()> then;
  };
  const auto tasks = std::make_shared<Tasks>(Tasks{std::move(work), std::move(then)});
  asio::post(pool, [this, tasks] {
    try {
      prepare_thread_for_fatal_signals();
      tasks->work();
    } catch (const std::exception& error) {
      log(lsp::LogLevel::error, "background work failed: " + lsp::failure_text(error));
    }
    post(std::move(tasks->then));
  });
}

void AsioHost::background(std::function<void()> work, std::function<void()> then) {
  run_in(impl_->pool, std::move(work), std::move(then));
}

void AsioHost::when_idle(std::function<void()> work, std::function<void()> then) {
  run_in(impl_->idle, std::move(work), std::move(then));
}

lsp::Host::TimerId AsioHost::after(std::chrono::milliseconds delay, std::function<void()> task) {
  const TimerId id = ++impl_->last_timer;
  auto& timer = impl_->timers.try_emplace(id, impl_->io, delay).first->second;
  timer.async_wait([this, id, task = std::move(task)](const boost::system::error_code& error) {
    // One that was cancelled in the turn in which it expired is called without an error.
    if (error || impl_->timers.erase(id) == 0) return;
    task();
  });
  return id;
}

void AsioHost::cancel_timer(TimerId id) {
  impl_->timers.erase(id);
}

std::chrono::steady_clock::time_point AsioHost::now() const {
  return std::chrono::steady_clock::now();
}

std::chrono::system_clock::time_point AsioHost::time() const {
  return std::chrono::system_clock::now();
}

std::string AsioHost::write_answer(std::string_view name, std::string_view text) {
  return lsp::file_uri(impl_->answers.write(name, text).string());
}

std::string AsioHost::answers_kept_until() const {
  return impl_->answers.kept_until();
}

std::vector<lsp::DirectoryEntry> AsioHost::list_directory(const std::string& path) const {
  return lsp::disk::list_directory(path);
}

std::optional<std::string> AsioHost::read_file(const std::string& path,
                                               std::size_t max_bytes) const {
  return lsp::disk::read_file(path, max_bytes);
}

std::optional<std::string> AsioHost::real_path(const std::string& path) const {
  return lsp::disk::real_path(path);
}

bool AsioHost::is_there(const std::string& path) const {
  return lsp::disk::is_there(path);
}

void AsioHost::log(lsp::LogLevel level, std::string_view message) {
  impl_->log.write(level, message);
}

void AsioHost::run() {
  while (!impl_->io.stopped()) {
    try {
      impl_->io.run();
    } catch (const std::bad_alloc&) {
      // Somebody waits for what the task was about to do, and nobody knows who.
      impl_->out_of_memory();
    } catch (const std::exception& error) {
      log(lsp::LogLevel::error, "a task failed: " + lsp::failure_text(error));
    }
  }
}

void AsioHost::stop() {
  impl_->io.stop();
}

void AsioHost::on_signal(std::function<void()> task) {
  impl_->signals.add(SIGINT);
  impl_->signals.add(SIGTERM);
  impl_->signals.async_wait([task = std::move(task)](const boost::system::error_code& error, int) {
    if (!error) task();
  });
}

boost::asio::io_context& AsioHost::io() {
  return impl_->io;
}

}  // namespace hearth::daemon
