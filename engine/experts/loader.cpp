// ExpertLoader's reads, and its lists.
#include "engine/experts/loader.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace hearth::engine {

namespace {

// Experts of the warm start under way. The reader sees to it that a demand waits for few of them.
constexpr std::size_t warm_at_once = 8;

}  // namespace

ExpertLoader::ExpertLoader(const ExpertStore& store, std::span<const std::unique_ptr<File>> files,
                           std::optional<ReaderKind> kind, ExpertDigests* digests, Done done,
                           Checked checked)
    : store_(store),
      digests_(digests),
      done_(std::move(done)),
      checked_(std::move(checked)),
      last_checks_{digests},
      reader_(open_reader(kind, files)) {
  const bool direct = std::ranges::all_of(files, [](const auto& file) { return file->direct(); });
  description_ = reader_->description() + (direct ? ", past the page cache" : ", buffered");
}

ExpertLoader::~ExpertLoader() {
  stopping_ = true;
  if (digests_ != nullptr) digests_->wait();  // while those who were told may still begin a read
}

void ExpertLoader::load(Key key, int slot, std::span<std::byte> memory, Urgency urgency,
                        const std::atomic<bool>* interrupt) {
  ReadJob job;
  job.reads = store_.reads(key, memory);
  job.urgency = urgency;
  if (urgency == Urgency::demand) job.interrupt = interrupt;
  std::uint64_t bytes = 0;
  for (const Read& read : job.reads) bytes += read.min_bytes;
  job.done = [this, key, slot, urgency, bytes](const ReadResult& result) {
    if (stopping_) return;
    Outcome outcome{slot, key, urgency, bytes, {}};
    try {
      outcome.result = result;
    } catch (const std::exception& failed) {
      outcome.result = ReadResult::of(failed);
    }
    done_(std::move(outcome));
  };
  reader_->submit(std::move(job));
  ++loading_;  // its end waits for the mutex
  if (urgency == Urgency::background) ++warming_;
}

void ExpertLoader::ended(const Outcome& outcome) {
  --loading_;
  if (outcome.urgency == Urgency::background) --warming_;
}

bool ExpertLoader::begin_check(Key key, int slot, std::span<const std::byte> memory) {
  if (digests_ == nullptr) return false;
  digests_->check_later(key, memory, [this, slot](bool same) {
    if (!stopping_) checked_(slot, same);
  });
  ++checking_;  // its end waits for the mutex
  return true;
}

void ExpertLoader::warm(std::vector<Key> keys) {
  warm_list_ = std::move(keys);
  to_warm_.assign(warm_list_.begin(), warm_list_.end());
}

std::optional<ExpertStore::Key> ExpertLoader::next_warm() {
  if (warming_ >= warm_at_once || to_warm_.empty()) return std::nullopt;
  const Key key = to_warm_.front();
  to_warm_.pop_front();
  return key;
}

std::vector<ExpertStore::Key> ExpertLoader::take_warmed() {
  if (warming()) return {};
  return std::exchange(warm_list_, {});
}

}  // namespace hearth::engine
