// An AsyncReader over io_uring: whoever submits also fills the ring, one thread waits for what
// comes.
#include <liburing.h>

#include <cerrno>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/experts/read_queue.hpp"

namespace hearth::engine {
namespace {

class UringReader final : public AsyncReader {
 public:
  explicit UringReader(const io_uring& ring) : ring_(ring) {
    thread_ = std::thread([this] { wait_for_completions(); });
  }
  UringReader(const UringReader&) = delete;
  UringReader& operator=(const UringReader&) = delete;

  ~UringReader() override {
    ReadQueue::Pieces left;
    {
      const Lock lock(mutex_);
      stopping_ = true;
      left = queue_.take_all();
      if (total() == 0) wake();
    }
    for (const auto& piece : left) piece->finish({ReadResult::End::withdrawn, {}});
    thread_.join();
    io_uring_queue_exit(&ring_);
  }

  void submit(ReadJob job) override {
    const Lock lock(mutex_);
    queue_.push(std::move(job));
    begin_reads();
  }

  void withdraw() override {
    ReadQueue::Pieces wanted;
    {
      const Lock lock(mutex_);
      wanted = queue_.take_wanted();
    }
    for (const auto& piece : wanted) piece->finish({ReadResult::End::withdrawn, {}});
  }

  std::string description() const override { return "io_uring"; }

 private:
  int total() const HEARTH_REQUIRES(mutex_) {
    return under_way_[0] + under_way_[1] + under_way_[2];
  }

  // The ring has room for every piece that may be under way, and for one more.
  void begin_reads() HEARTH_REQUIRES(mutex_) {
    if (stopping_) return;
    bool any = false;
    while (std::unique_ptr<ReadPiece> piece = queue_.pop(under_way_)) {
      ++under_way_[static_cast<std::size_t>(piece->urgency)];
      begin(std::move(piece));
      any = true;
    }
    if (any) io_uring_submit(&ring_);
  }

  void begin(std::unique_ptr<ReadPiece> piece) HEARTH_REQUIRES(mutex_) {
    const Read& read = piece->read;
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    io_uring_prep_read(entry, read.file->direct_descriptor(), read.to.data(),
                       static_cast<unsigned>(read.to.size()), read.offset);
    io_uring_sqe_set_data(entry, piece.release());
  }

  // Makes the waiting thread look at stopping_.
  void wake() HEARTH_REQUIRES(mutex_) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, nullptr);
    io_uring_submit(&ring_);
  }

  void wait_for_completions() {
    for (;;) {
      io_uring_cqe* completion = nullptr;
      if (io_uring_wait_cqe(&ring_, &completion) != 0) continue;  // interrupted by a signal
      std::unique_ptr<ReadPiece> piece(static_cast<ReadPiece*>(io_uring_cqe_get_data(completion)));
      const int got = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      if (!piece) return;

      // Whoever began the piece held the mutex until it was submitted. The kernel handed the piece
      // on, which is an order that only the machine knows; taking the mutex makes it the program's.
      Lock lock(mutex_);
      ReadResult result;
      bool more = false;
      try {
        if (got == -EAGAIN || got == -EINTR) {
          more = true;
        } else if (got < 0) {
          result = {ReadResult::End::failed, piece->read.file->name() + ": reading at byte " +
                                                 std::to_string(piece->read.offset) + " failed: " +
                                                 std::generic_category().message(-got)};
        } else {
          more = piece->take(static_cast<std::size_t>(got));
        }
      } catch (const std::exception& failed) {  // the file was cut, or no memory to say what failed
        result = ReadResult::of(failed);
      }
      if (more) {
        begin(std::move(piece));
        io_uring_submit(&ring_);
        continue;
      }
      --under_way_[static_cast<std::size_t>(piece->urgency)];
      begin_reads();
      const bool last = stopping_ && total() == 0;
      lock.unlock();
      piece->finish(std::move(result));
      if (last) return;
    }
  }

  io_uring ring_;  // filled under the mutex, emptied by the thread
  Mutex mutex_;
  bool stopping_ HEARTH_GUARDED_BY(mutex_) = false;
  ReadQueue queue_ HEARTH_GUARDED_BY(mutex_);
  std::array<int, 3> under_way_ HEARTH_GUARDED_BY(mutex_){};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<AsyncReader> make_uring_reader() {
  io_uring ring;
  if (io_uring_queue_init(2 * read_depth, &ring, 0) != 0) return nullptr;
  return std::make_unique<UringReader>(ring);
}

}  // namespace hearth::engine
