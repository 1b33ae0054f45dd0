// The readers' common part, and the choice between them.
#include "engine/experts/reader.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "engine/experts/read_queue.hpp"

namespace hearth::engine {

namespace {
constexpr std::size_t piece_bytes = std::size_t{1} << 20;

std::size_t index(Urgency urgency) {
  return static_cast<std::size_t>(urgency);
}
}  // namespace

bool ReadPiece::interrupted() const {
  return job->interrupt != nullptr && job->interrupt->load(std::memory_order_relaxed);
}

bool ReadPiece::take(std::size_t count) {
  if (count >= read.min_bytes) return false;
  // What came is whole blocks unless the file ended: go on at a block's beginning.
  const std::size_t whole = count / direct_alignment * direct_alignment;
  if (count == 0 || whole == 0) {
    throw Error(read.file->name() + ": the file ends at byte " +
                std::to_string(read.offset + count) + ", but had " +
                std::to_string(read.file->size()) +
                " when opened: it was cut while in use. Download it again.");
  }
  read.offset += whole;
  read.to = read.to.subspan(whole);
  read.min_bytes -= whole;
  return true;
}

ReadResult ReadResult::of(const std::exception& failure) noexcept {
  try {
    if (dynamic_cast<const std::bad_alloc*>(&failure) == nullptr)
      return {End::failed, failure.what()};
  } catch (const std::bad_alloc&) {
  }
  return {End::no_memory, {}};
}

void ReadPiece::finish(ReadResult result) noexcept {
  {
    const Lock lock(job->mutex);
    if (job->result.complete()) job->result = std::move(result);
    if (--job->left > 0) return;
    result = std::move(job->result);
  }
  if (result.complete()) {
    try {
      read.file->check_unchanged();
    } catch (const std::exception& changed) {
      result = ReadResult::of(changed);
    }
  }
  job->done(result);
}

void ReadQueue::push(ReadJob job) {
  auto shared = std::make_shared<ReadPiece::Job>();
  shared->done = std::move(job.done);
  shared->interrupt = job.interrupt;
  Pieces pieces;
  for (const Read& read : job.reads) {
    for (std::size_t at = 0; at < read.to.size(); at += piece_bytes) {
      const std::size_t bytes = std::min(piece_bytes, read.to.size() - at);
      if (at >= read.min_bytes) break;  // behind the end of the file
      const Read part{read.file, read.offset + at, read.to.subspan(at, bytes),
                      std::min(bytes, read.min_bytes - at)};
      pieces.push_back(std::make_unique<ReadPiece>(ReadPiece{shared, part, job.urgency}));
    }
  }
  {
    const Lock lock(shared->mutex);
    shared->left = pieces.size();
  }
  Pieces& queue = waiting_[index(job.urgency)];
  queue.splice(queue.end(), pieces);
}

std::unique_ptr<ReadPiece> ReadQueue::pop(const std::array<int, 3>& under_way) {
  const int unasked = under_way[1] + under_way[2];
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Pieces& queue = waiting_[i];
    const int max = i == 0 ? read_depth : background_depth;
    const int now = i == 0 ? under_way[0] + unasked : unasked;
    // A demand that is under way has the disk for itself.
    const bool allowed = now < max && (i == 0 || under_way[0] == 0);
    if (queue.empty() || !allowed || queue.front()->interrupted()) continue;
    std::unique_ptr<ReadPiece> piece = std::move(queue.front());
    queue.pop_front();
    return piece;
  }
  return nullptr;
}

ReadQueue::Pieces ReadQueue::take_all() {
  Pieces all = take_wanted();
  all.splice(all.end(), waiting_.back());
  return all;
}

ReadQueue::Pieces ReadQueue::take_wanted() {
  static_assert(static_cast<int>(Urgency::background) == 2);
  Pieces wanted;
  for (Pieces& queue : std::span(waiting_).first(2)) wanted.splice(wanted.end(), queue);
  return wanted;
}

bool ReadQueue::empty() const {
  return std::ranges::all_of(waiting_, [](const auto& queue) { return queue.empty(); });
}

std::string_view name(ReaderKind kind) {
  return kind == ReaderKind::uring ? "io_uring" : "threads";
}

std::optional<ReaderKind> parse_reader(std::string_view text) {
  for (const ReaderKind kind : {ReaderKind::uring, ReaderKind::threads}) {
    if (text == name(kind)) return kind;
  }
  return std::nullopt;
}

std::unique_ptr<AsyncReader> open_reader(std::optional<ReaderKind> kind,
                                         std::span<const std::unique_ptr<File>> files) {
  // Without direct reads the page cache is in between, and its threads do better.
  const bool direct = std::ranges::all_of(files, [](const auto& file) { return file->direct(); });
  if (kind != ReaderKind::threads && direct) {
    if (std::unique_ptr<AsyncReader> reader = make_uring_reader()) return reader;
  }
  if (kind == ReaderKind::uring) {
    throw Error(
        "reader = \"io_uring\": the system or the model's file system refuses it; use "
        "\"threads\"");
  }
  return make_thread_reader();
}

}  // namespace hearth::engine
