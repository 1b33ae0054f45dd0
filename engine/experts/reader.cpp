// The readers' common part, and the choice between them.
#include "engine/reader.hpp"

#include <algorithm>
#include <utility>

#include "engine/read_queue.hpp"

namespace hearth::engine {

namespace {
constexpr std::size_t piece_bytes = std::size_t{1} << 20;

std::size_t index(Urgency urgency) {
  return static_cast<std::size_t>(urgency);
}
}  // namespace

bool ReadPiece::take(std::size_t count) {
  if (count >= read.least) return false;
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
  read.least -= whole;
  return true;
}

void ReadPiece::finish(const std::string& error) {
  std::string result;
  {
    const std::scoped_lock lock(job->mutex);
    if (job->error.empty()) job->error = error;
    if (--job->left > 0) return;
    result = job->error;
  }
  if (result.empty()) {
    try {
      read.file->check_unchanged();
    } catch (const Error& changed) {
      result = changed.what();
    }
  }
  job->done(result);
}

void ReadQueue::push(ReadJob job) {
  auto shared = std::make_shared<ReadPiece::Job>();
  shared->done = std::move(job.done);
  std::deque<ReadPiece>& queue = waiting_[index(job.urgency)];
  for (const Read& read : job.reads) {
    for (std::size_t at = 0; at < read.to.size(); at += piece_bytes) {
      const std::size_t bytes = std::min(piece_bytes, read.to.size() - at);
      if (at >= read.least) break;  // behind the end of the file
      queue.push_back({shared,
                       {read.file, read.offset + at, read.to.subspan(at, bytes),
                        std::min(bytes, read.least - at)},
                       job.urgency});
      ++shared->left;
    }
  }
}

std::optional<ReadPiece> ReadQueue::pop(const std::array<int, 3>& under_way) {
  const int unasked = under_way[1] + under_way[2];
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    std::deque<ReadPiece>& queue = waiting_[i];
    const int most = i == 0 ? read_depth : background_depth;
    const int now = i == 0 ? under_way[0] + unasked : unasked;
    // A demand that is under way has the disk for itself.
    const bool allowed = now < most && (i == 0 || under_way[0] == 0);
    if (queue.empty() || !allowed) continue;
    ReadPiece piece = std::move(queue.front());
    queue.pop_front();
    return piece;
  }
  return std::nullopt;
}

std::deque<ReadPiece> ReadQueue::take_all() {
  std::deque<ReadPiece> all;
  for (std::deque<ReadPiece>& queue : waiting_) {
    std::ranges::move(queue, std::back_inserter(all));
    queue.clear();
  }
  return all;
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
