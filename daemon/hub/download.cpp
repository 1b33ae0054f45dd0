// Threads that take ranges from one list until it is empty.
#include "daemon/hub/download.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "daemon/hub/digest.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::hub {
namespace {

using daemon::Error;
using daemon::Fd;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds look{50};
constexpr std::size_t verify_bytes = 1 << 20;
constexpr int most_damaged = 2;  // times that a file may come without its digest

// Counts tries, and waits between them.
class Retry {
 public:
  Retry(const DownloadOptions& options, int tries, const std::atomic<bool>& stop)
      : options_(options), tries_(tries), stop_(stop) {}

  void progressed() { failed_ = 0; }
  // After a failure that another try may help; false: that was the last one.
  bool may_go_on() { return ++failed_ < tries_; }
  // What the server asked for, else longer each time.
  milliseconds pause(std::optional<std::chrono::seconds> asked) const {
    if (asked) return *asked;
    milliseconds pause = options_.first_pause;
    for (int i = 1; i < failed_ && pause < options_.longest_pause; ++i) pause *= 2;
    return std::min(pause, options_.longest_pause);
  }
  void wait(milliseconds pause) const {
    const auto until = Clock::now() + pause;
    while (!stop_ && Clock::now() < until)
      std::this_thread::sleep_for(std::min(pause, milliseconds(look)));
  }

 private:
  const DownloadOptions& options_;
  const int tries_;
  const std::atomic<bool>& stop_;
  int failed_ = 0;
};

bool may_help(const http::Failure& failure) {
  return failure.kind() == http::FailureKind::unreachable ||
         failure.kind() == http::FailureKind::timeout ||
         failure.kind() == http::FailureKind::closed;
}

std::string shown_pause(const std::string& what, milliseconds pause) {
  return fmt::format("{}; next try in {}", what, daemon::show_time(pause));
}

// Calls `task` until it has done its work. `told` hears of every failure with another try to come.
// False: stopped.
bool with_retries(Retry& retry, const std::atomic<bool>& stop,
                  const std::function<void(const std::string&)>& told,
                  const std::function<void()>& task) {
  const auto again = [&](const Error& error, std::optional<std::chrono::seconds> asked) {
    if (!retry.may_go_on()) throw Error(error.what());
    const milliseconds pause = retry.pause(asked);
    if (told) told(shown_pause(error.what(), pause));
    retry.wait(pause);
  };
  while (!stop) {
    try {
      task();
      return true;
    } catch (const Transient& error) {
      again(error, error.after());
    } catch (const http::Failure& failure) {
      if (failure.kind() == http::FailureKind::stopped) return false;
      if (!may_help(failure)) throw;
      again(failure, std::nullopt);
    }
  }
  return false;
}

void write_at(const Fd& file, const std::filesystem::path& path, std::string_view bytes,
              std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == ENOSPC)
      throw Error("the disk of " + path.string() + " is full: make room");
    if (written <= 0) throw daemon::system_error("cannot write " + path.string(), errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
}

class Work {
 public:
  Work(const Repository& repository, Partial& partial, const std::vector<RemoteFile>& files,
       const DownloadOptions& options, const std::atomic<bool>& stop)
      : repository_(repository), partial_(partial), options_(options), asked_to_stop_(stop) {
    for (const RemoteFile& file : files) {
      files_.push_back({file});
      progress_.bytes_total += file.size;
      enqueue(files_.size() - 1);
    }
    progress_.files = files.size();
  }

  bool run(const std::function<void(const DownloadProgress&)>& told) {
    std::vector<std::thread> threads;
    const std::size_t count = std::max<std::size_t>(1, options_.connections);
    running_ = count;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    for (;;) {
      std::unique_lock lock(mutex_);
      ended_.wait_for(lock, 2 * look, [&] { return running_ == 0; });
      const bool ended = running_ == 0;
      const DownloadProgress now = progress_;
      lock.unlock();
      if (asked_to_stop_) stop_ = true;
      if (told) told(now);
      if (ended) break;
    }
    for (std::thread& thread : threads) thread.join();
    if (failed_) std::rethrow_exception(failed_);
    return progress_.verified == progress_.files;
  }

 private:
  struct File {
    RemoteFile remote;
    std::size_t pending = 0;  // ranges in the queue or with a thread
    int damaged = 0;
  };
  struct Task {
    std::size_t file = 0;
    Range range;  // empty: all of it is there already
  };

  // With the mutex, or before there are threads.
  void enqueue(std::size_t index) {
    File& file = files_[index];
    const Ranges there = partial_.there(file.remote.name);
    if (there.bytes() == 0 && ::ftruncate(partial_.open(file.remote.name).get(), 0) != 0)
      throw daemon::system_error("cannot write " + (partial_.path() / file.remote.name).string(),
                                 errno);
    std::vector<Range> missing = there.missing(file.remote.size, options_.range_bytes);
    if (missing.empty()) missing.push_back({});
    for (const Range& range : missing) tasks_.push_back({index, range});
    file.pending = missing.size();
    progress_.bytes_done += there.bytes();
  }

  void work() {
    try {
      http::Client client(options_.limits, &stop_);
      while (const auto task = next()) {
        if (!fetch(client, *task)) break;
        if (is_last(task->file)) verify(task->file);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failed_) failed_ = std::current_exception();
      stop_ = true;
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
    ended_.notify_all();
  }

  // Waits while there may be more to do, as a file may come damaged. Empty: there is nothing left.
  std::optional<Task> next() {
    std::unique_lock lock(mutex_);
    while (tasks_.empty() && open_tasks_ > 0 && !stop_) changed_.wait_for(lock, look);
    if (tasks_.empty() || stop_) return std::nullopt;
    const Task task = tasks_.front();
    tasks_.pop_front();
    ++open_tasks_;
    return task;
  }

  // Whether that was the last range of the file; its thread verifies it then.
  bool is_last(std::size_t index) {
    const std::lock_guard lock(mutex_);
    if (--files_[index].pending == 0) return true;
    --open_tasks_;
    changed_.notify_all();
    return false;
  }

  bool fetch(http::Client& client, const Task& task) {
    const RemoteFile& file = files_[task.file].remote;
    const Fd data = partial_.open(file.name);
    Range rest = task.range;
    Retry retry(options_, options_.tries, stop_);
    const auto told = [&](const std::string& trouble) { tell(trouble); };
    return with_retries(retry, stop_, told, [&] {
      if (rest.begin == rest.end) return;  // all of it is there, or came before a failure
      Recorder recorder(*this, file, data, rest, retry);
      repository_.read(client, partial_.manifest()->commit, file, rest.begin, rest.end,
                       [&](std::string_view piece) { recorder.take(piece); });
      recorder.record();
    });
  }

  // Writes what comes, and moves the begin of what is left behind it. What came before a failure is
  // recorded as well.
  class Recorder {
   public:
    Recorder(Work& work, const RemoteFile& file, const Fd& data, Range& rest, Retry& retry)
        : work_(work), file_(file), data_(data), rest_(rest), retry_(retry), at_(rest.begin) {}
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    ~Recorder() {
      try {
        record();
      } catch (const Error&) {
        // It is fetched again.
      }
    }

    void take(std::string_view piece) {
      write_at(data_, work_.partial_.path() / file_.name, piece, at_);
      at_ += piece.size();
      retry_.progressed();
      work_.came(piece.size());
      // A disk on which that takes long is asked less often.
      if (Clock::now() - recorded_ >=
          std::max<Clock::duration>(work_.options_.record_interval, most_cost * cost_))
        record();
    }
    void record() {
      const auto began = Clock::now();
      work_.partial_.record(file_.name, {rest_.begin, at_}, data_);
      rest_.begin = at_;
      recorded_ = Clock::now();
      cost_ = recorded_ - began;
    }

   private:
    static constexpr int most_cost = 3;  // of the time at most a quarter

    Work& work_;
    const RemoteFile& file_;
    const Fd& data_;
    Range& rest_;
    Retry& retry_;
    std::uint64_t at_;
    Clock::time_point recorded_ = Clock::now();
    Clock::duration cost_{0};  // of the last time
  };

  void came(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    progress_.bytes_done += bytes;
    progress_.trouble.clear();
  }

  void tell(const std::string& trouble) {
    const std::lock_guard lock(mutex_);
    progress_.trouble = trouble;
  }

  void verify(std::size_t index) {
    const RemoteFile& file = files_[index].remote;
    const auto whole = is_whole(file);
    const std::lock_guard lock(mutex_);
    --open_tasks_;
    changed_.notify_all();
    if (!whole) return;  // stopped
    if (*whole) {
      ++progress_.verified;
      return;
    }
    partial_.forget(file.name);
    progress_.bytes_done -= file.size;
    if (++files_[index].damaged == most_damaged)
      throw Error(repository_.name() + ": " + file.name + " came " + std::to_string(most_damaged) +
                  " times without the digest that the server names: it is damaged there or on its "
                  "way");
    progress_.trouble = file.name + " was damaged on its way and is fetched again";
    enqueue(index);
  }

  // Whether the file has its size and digest. Empty: stopped.
  std::optional<bool> is_whole(const RemoteFile& file) {
    const Fd data = partial_.open(file.name);
    if (::lseek(data.get(), 0, SEEK_END) != static_cast<off_t>(file.size)) return false;
    Digest digest = file.sha256.empty() ? Digest::git_blob(file.size) : Digest::sha256();
    std::string buffer(verify_bytes, '\0');
    for (std::uint64_t at = 0; at < file.size;) {
      if (stop_) return std::nullopt;
      const ssize_t got = ::pread(data.get(), buffer.data(), buffer.size(), static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        throw daemon::system_error("cannot read " + (partial_.path() / file.name).string(), errno);
      if (got == 0) return false;
      digest.add({buffer.data(), static_cast<std::size_t>(got)});
      at += static_cast<std::uint64_t>(got);
    }
    // Gigabytes of a model that is not yet run are of no use in the page cache.
    ::posix_fadvise(data.get(), 0, 0, POSIX_FADV_DONTNEED);
    return digest.hex() == (file.sha256.empty() ? file.git_id : file.sha256);
  }

  const Repository& repository_;
  Partial& partial_;
  const DownloadOptions& options_;
  const std::atomic<bool>& asked_to_stop_;
  std::atomic<bool> stop_ = false;  // for everybody: asked for, or somebody failed
  std::mutex mutex_;
  std::condition_variable changed_;  // tasks_, open_tasks_
  std::condition_variable ended_;    // running_
  std::vector<File> files_;
  std::deque<Task> tasks_;
  std::size_t open_tasks_ = 0;  // taken, and not yet fetched and verified
  std::size_t running_ = 0;
  DownloadProgress progress_;
  std::exception_ptr failed_;
};

}  // namespace

bool download(const Repository& repository, Partial& partial, const std::vector<RemoteFile>& files,
              const DownloadOptions& options,
              const std::function<void(const DownloadProgress&)>& progress,
              const std::atomic<bool>& stop) {
  return Work(repository, partial, files, options, stop).run(progress);
}

std::optional<Manifest> look_up(const Repository& repository, const DownloadOptions& options,
                                const std::function<void(const std::string& trouble)>& told,
                                const std::atomic<bool>& stop) {
  http::Client client(options.limits, &stop);
  Retry retry(options, options.first_tries, stop);
  std::optional<Manifest> manifest;
  with_retries(retry, stop, told, [&] {
    try {
      manifest = repository.look_up(client);
    } catch (const http::Failure& failure) {
      // Whoever looks on knows better than to wait for a name that does not exist.
      if (failure.kind() == http::FailureKind::unreachable) throw Error(failure.what());
      throw;
    }
  });
  return manifest;
}

}  // namespace hearth::hub
