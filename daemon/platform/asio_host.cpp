// One io_context, one thread pool.
#include "daemon/host.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <map>

#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "daemon/paths.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::size_t background_threads = 2;

std::string file_uri(const std::filesystem::path& path) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string uri = "file://";
  for (const char c : path.string()) {
    const auto byte = static_cast<unsigned char>(c);
    if (plain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += {'%', hex[byte >> 4], hex[byte & 15]};
    }
  }
  return uri;
}

}  // namespace

struct AsioHost::Impl {
  Impl(Log& to, std::filesystem::path directory) : log(to), answers(std::move(directory)) {}

  Log& log;
  std::filesystem::path answers;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> stay{io.get_executor()};
  asio::signal_set signals{io};
  std::map<TimerId, asio::steady_timer> timers;
  TimerId last_timer = 0;
  asio::thread_pool pool{background_threads};
};

AsioHost::AsioHost(Log& log, std::filesystem::path answers)
    : impl_(std::make_unique<Impl>(log, std::move(answers))) {}

AsioHost::~AsioHost() {
  stop();
  impl_->pool.stop();  // work that has not begun is dropped
  impl_->pool.join();
}

void AsioHost::post(std::function<void()> task) {
  asio::post(impl_->io, std::move(task));
}

void AsioHost::background(std::function<void()> work, std::function<void()> then) {
  asio::post(impl_->pool, [this, work = std::move(work), then = std::move(then)] {
    try {
      work();
    } catch (const std::exception& error) {
      log(lsp::LogLevel::error, std::string("background work failed: ") + error.what());
    }
    post(then);
  });
}

lsp::Host::TimerId AsioHost::after(std::chrono::milliseconds delay, std::function<void()> task) {
  const TimerId id = ++impl_->last_timer;
  auto& timer = impl_->timers.try_emplace(id, impl_->io, delay).first->second;
  timer.async_wait([this, id, task = std::move(task)](const boost::system::error_code& error) {
    if (error) return;
    impl_->timers.erase(id);
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

std::string AsioHost::write_answer(std::string_view name, std::string_view text) {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string_view::npos) {
    throw Error("not a name for an answer's file: " + std::string(name));
  }
  make_private_directory(impl_->answers);
  const auto path = impl_->answers / name;
  write_file(path, text);
  return file_uri(path);
}

void AsioHost::log(lsp::LogLevel level, std::string_view message) {
  impl_->log.write(level, message);
}

void AsioHost::run() {
  while (!impl_->io.stopped()) {
    try {
      impl_->io.run();
    } catch (const std::exception& error) {
      log(lsp::LogLevel::error, std::string("a task failed: ") + error.what());
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
