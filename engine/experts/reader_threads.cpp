// A AsyncReader of a few threads that each read one piece at a time.
#include <condition_variable>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/read_queue.hpp"

namespace hearth::engine {
namespace {

constexpr int thread_count = 8;  // as many reads bring a disk close to its full speed

class ThreadReader final : public AsyncReader {
 public:
  ThreadReader() {
    try {
      for (int i = 0; i < thread_count; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      stop();
      throw Error("the system did not start " + std::to_string(thread_count) +
                  " threads to read with");
    }
  }
  ~ThreadReader() override { stop(); }

  void submit(ReadJob job) override {
    {
      const std::scoped_lock lock(mutex_);
      queue_.push(std::move(job));
    }
    more_.notify_all();
  }

  std::string description() const override {
    return std::to_string(thread_count) + " reading threads";
  }

 private:
  void stop() {
    std::deque<ReadPiece> left;
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
      left = queue_.take_all();
    }
    more_.notify_all();
    for (ReadPiece& piece : left) piece.finish("reading was stopped");
    for (std::thread& thread : threads_) thread.join();
  }

  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      std::optional<ReadPiece> piece;
      more_.wait(lock, [&] { return stopping_ || (piece = queue_.pop(under_way_)); });
      if (!piece) return;
      int& mine = under_way_[static_cast<std::size_t>(piece->urgency)];
      ++mine;
      lock.unlock();

      std::string error;
      try {
        while (piece->take(piece->read.file->read_direct(piece->read.offset, piece->read.to))) {
        }
      } catch (const Error& failed) {
        error = failed.what();
      }
      lock.lock();
      --mine;
      lock.unlock();
      more_.notify_all();
      piece->finish(error);
    }
  }

  std::mutex mutex_;
  std::condition_variable more_;
  bool stopping_ = false;
  ReadQueue queue_;
  std::array<int, 3> under_way_{};
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<AsyncReader> make_thread_reader() {
  return std::make_unique<ThreadReader>();
}

}  // namespace hearth::engine
