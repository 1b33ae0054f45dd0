// The virtual clock and its timers.
#include "tests/lsp/virtual_host.hpp"

#include <algorithm>
#include <stdexcept>

#include "lsp/support/disk.hpp"

namespace hearth::lsp::test {

void VirtualHost::background(std::function<void()> work, std::function<void()> then) {
  post([this, work = std::move(work), then = std::move(then)] {
    work();
    post(then);
  });
}

void VirtualHost::when_idle(std::function<void()> work, std::function<void()> then) {
  ++idle_work;
  background(std::move(work), std::move(then));
}

Host::TimerId VirtualHost::after(std::chrono::milliseconds delay, std::function<void()> task) {
  timers_.emplace(Due{now_ + delay, ++last_timer_}, std::move(task));
  return last_timer_;
}

void VirtualHost::cancel_timer(TimerId id) {
  std::erase_if(timers_, [&](const auto& timer) { return timer.first.second == id; });
}

std::string VirtualHost::write_answer(std::string_view name, std::string_view text) {
  if (disk_full) throw std::runtime_error("No space left on device");
  answers[std::string(name)] = text;
  ++answers_written;
  return "file:///state/" + std::string(name);
}

bool VirtualHost::is_file(const std::string& path) const {
  return !files.empty() && path.starts_with(files);
}

std::vector<DirectoryEntry> VirtualHost::list_directory(const std::string& path) const {
  return is_file(path) ? disk::list_directory(path) : std::vector<DirectoryEntry>{};
}

std::optional<std::string> VirtualHost::read_file(const std::string& path,
                                                  std::size_t max_bytes) const {
  if (!is_file(path)) return std::nullopt;
  files_read.push_back(path);
  return disk::read_file(path, max_bytes);
}

std::optional<std::string> VirtualHost::real_path(const std::string& path) const {
  return is_file(path) ? disk::real_path(path) : std::nullopt;
}

bool VirtualHost::is_there(const std::string& path) const {
  return is_file(path) && disk::is_there(path);
}

void VirtualHost::log(LogLevel, std::string_view message) {
  logged.emplace_back(message);
}

void VirtualHost::run() {
  while (!tasks_.empty()) {
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
}

void VirtualHost::advance(std::chrono::milliseconds time) {
  const auto end = now_ + time;
  run();
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    auto timer = timers_.extract(timers_.begin());
    now_ = std::max(now_, timer.key().first);
    timer.mapped()();
    run();
  }
  now_ = end;
}

}  // namespace hearth::lsp::test
