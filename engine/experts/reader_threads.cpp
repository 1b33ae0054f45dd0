// An AsyncReader of a few threads that each read one piece at a time.
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/experts/read_queue.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::engine {
namespace {

constexpr int thread_count = 8;  // as many reads bring a disk close to its full speed

class ThreadReader final : public AsyncReader {
 public:
  ThreadReader() {
    try {
      for (int i = 0; i < thread_count; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::bad_alloc&) {
      stop();
      throw;
    } catch (const std::system_error&) {
      stop();
      throw Error("the system did not start " + std::to_string(thread_count) +
                  " threads to read with");
    }
  }
  ~ThreadReader() override { stop(); }

  void submit(ReadJob job) override {
    {
      const Lock lock(mutex_);
      queue_.push(std::move(job));
    }
    more_.notify_all();
  }

  void withdraw() override {
    ReadQueue::Pieces wanted;
    {
      const Lock lock(mutex_);
      wanted = queue_.take_wanted();
    }
    for (const auto& piece : wanted) piece->finish({ReadResult::End::withdrawn, {}});
  }

  std::string description() const override {
    return std::to_string(thread_count) + " reading threads";
  }

 private:
  void stop() {
    ReadQueue::Pieces left;
    {
      const Lock lock(mutex_);
      stopping_ = true;
      left = queue_.take_all();
    }
    more_.notify_all();
    for (const auto& piece : left) piece->finish({ReadResult::End::withdrawn, {}});
    for (std::thread& thread : threads_) thread.join();
  }

  void work() {
    for (;;) {
      Lock lock(mutex_);
      std::unique_ptr<ReadPiece> piece;
      while (!stopping_ && (piece = queue_.pop(under_way_)) == nullptr) more_.wait(lock);
      if (!piece) return;
      const auto urgency = static_cast<std::size_t>(piece->urgency);
      ++under_way_[urgency];
      lock.unlock();

      ReadResult result;
      try {
        while (piece->take(piece->read.file->read_direct(piece->read.offset, piece->read.to))) {
        }
      } catch (const std::exception& failed) {
        result = ReadResult::of(failed);
      }
      lock.lock();
      --under_way_[urgency];
      lock.unlock();
      more_.notify_all();
      piece->finish(std::move(result));
    }
  }

  Mutex mutex_;
  Condition more_;
  bool stopping_ HEARTH_GUARDED_BY(mutex_) = false;
  ReadQueue queue_ HEARTH_GUARDED_BY(mutex_);
  std::array<int, 3> under_way_ HEARTH_GUARDED_BY(mutex_){};
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<AsyncReader> make_thread_reader() {
  return std::make_unique<ThreadReader>();
}

}  // namespace hearth::engine
