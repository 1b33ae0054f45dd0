// What a prompt goes on from, on its way out of the PrefixCache: found, read where it is on disk,
// and copied to where a session wants it.
#include <algorithm>
#include <atomic>
#include <utility>

#include "engine/prefix/cache.hpp"
#include "engine/support/parallel_for.hpp"

namespace hearth::engine {

namespace {

// Threads that each read a piece of a file, then check and copy what has become whole by it: while
// some compute, the disk still has several pieces to read.
constexpr std::size_t reading_threads = 8;

}  // namespace

// A node that something is wanted of: the KV of tokens [from, to), and of the last one the state.
struct PrefixCache::Source {
  PrefixNode* node = nullptr;
  std::int64_t from = 0;
  std::int64_t to = 0;
  bool last = false;
  PrefixDisk::Request file;  // what it lacks in RAM

  bool needs_kv() const { return from < to; }
  bool reads() const { return file.requested.kv || file.requested.state; }
  const StateSnapshot& kv() const {
    return file.requested.kv ? file.reading->record().kv : node->kv;
  }
  const StateSnapshot& state() const {
    return file.requested.state ? file.reading->record().state : node->state;
  }
};

std::optional<PrefixCache::Restored> PrefixCache::take(Tokens tokens, std::size_t beyond,
                                                       std::size_t kv_from,
                                                       const Destination& destination,
                                                       const std::atomic<bool>* interrupt,
                                                       std::size_t prompt) {
  collect_written();
  drop_outdated();
  Restored restored;
  Progress progress = Progress::more;
  while (progress == Progress::more) {
    PrefixNode* const node = best(tokens, prompt);
    if (node == nullptr || static_cast<std::size_t>(node->place.end) <= beyond) break;
    restored = {};
    progress = load(*node, static_cast<std::int64_t>(kv_from), destination, interrupt, restored);
  }
  if (progress == Progress::interrupted) return std::nullopt;
  if (progress == Progress::more) restored = {};  // nothing is left
  {
    const Lock lock(statistics_mutex_);
    if (restored.position > 0) {
      ++statistics_.hits;
      statistics_.restored_tokens += static_cast<std::size_t>(restored.position) - beyond;
    } else if (beyond == 0) {
      ++statistics_.misses;
    }
  }
  publish();
  return restored;
}

// more: a file failed; its node is gone now, and its descendants.
Progress PrefixCache::load(PrefixNode& node, std::int64_t kv_from, const Destination& destination,
                           const std::atomic<bool>* interrupt, Restored& restored) {
  std::vector<Source> sources;
  for (const PrefixStep& step : path_to(node)) {
    PrefixNode& at = *step.node;
    Source source{&at, std::max(at.place.begin, kv_from), step.to, &at == &node, {}};
    source.file.place = at.place;
    source.file.requested = {source.needs_kv() && !at.kv, source.last && !at.state};
    if (source.needs_kv() || source.last) sources.push_back(std::move(source));
  }
  parallel_for(sources.size(), reading_threads, [&](std::size_t i) {
    if (sources[i].reads()) disk_->open(sources[i].file);
  });
  if (forget_failed(sources)) return Progress::more;

  restored.position = node.place.end;
  restored.decoded_from = node.decoded_from;
  restored.state = sources.back().state();
  for (const Source& each : sources) {
    if (each.needs_kv())
      restored.spans.push_back({each.kv(), each.node->place.begin, each.from, each.to});
  }
  StateRestore restore = destination ? destination(restored) : StateRestore();
  restore.sort();
  if (!fetch(sources, restore, interrupt)) return Progress::interrupted;
  for (Source& each : sources)
    if (each.reads() && each.file.failure.empty()) disk_->finish(each.file);
  if (forget_failed(sources)) return Progress::more;
  restore.finish();

  const bool was_read = sources.back().file.requested.state;
  const PrefixRecord* const record = was_read ? &sources.back().file.reading->record() : nullptr;
  restored.hidden = was_read ? record->hidden : node.hidden;
  restored.logits = was_read ? record->logits : node.logits;
  use(node);
  keep_read(sources);
  return Progress::done;
}

// Has every part copied to its destination: at once where it is in RAM, else when it was read.
// False: interrupted.
bool PrefixCache::fetch(std::vector<Source>& sources, const StateRestore& restore,
                        const std::atomic<bool>* interrupt) {
  struct Task {
    Source* source = nullptr;         // a piece of whose file is to be read, or
    std::size_t piece = 0;            //
    std::span<const std::byte> part;  // what is there
  };
  std::vector<Task> tasks;
  for (Source& each : sources) {
    for (std::size_t i = 0; each.reads() && i < each.file.reading->pieces(); ++i)
      tasks.push_back({&each, i, {}});
  }
  const bool any_reads = !tasks.empty();
  std::size_t bytes = 0;
  const auto add = [&](const StateSnapshot& snapshot) {
    for (const std::span<const std::byte> part : snapshot.parts())
      tasks.push_back({nullptr, 0, part});
    bytes += snapshot.bytes();
  };
  for (const Source& each : sources) {
    if (each.needs_kv() && !each.file.requested.kv) add(each.kv());
    if (each.last && !each.file.requested.state) add(each.state());
  }

  std::atomic<bool> interrupted = false;
  std::atomic<bool> failed = false;
  const auto copy = [&](std::span<const std::byte> part) {
    if (!restore.copy(part, interrupt)) interrupted = true;
  };
  parallel_for(tasks.size(), any_reads ? reading_threads : copying_threads(bytes),
               [&](std::size_t i) {
                 const Task& task = tasks[i];
                 if (is_set(interrupt)) interrupted = true;
                 if (interrupted || failed) return;
                 if (task.source == nullptr) return copy(task.part);
                 if (!disk_->read(task.source->file, task.piece, copy)) failed = true;
               });
  return failed || !interrupted;
}

// Forgets a node whose file failed. False: none did.
bool PrefixCache::forget_failed(const std::vector<Source>& sources) {
  const auto failed = std::ranges::find_if(
      sources, [](const Source& source) { return !source.file.failure.empty(); });
  if (failed == sources.end()) return false;
  if (options_.note) options_.note(failed->file.failure + "; what it held is computed again");
  forget(*failed->node, failed->file.damaged);
  return true;
}

// What was read has a file, and so have all its ancestors: eviction drops what these nodes hold,
// never the nodes.
void PrefixCache::keep_read(const std::vector<Source>& sources) {
  for (const Source& each : sources) {
    if (!each.file.requested.state) continue;
    const PrefixRecord& held = each.file.reading->record();
    const std::size_t output = (held.hidden.size() + held.logits.size()) * sizeof(float);
    if (make_room(held.state.bytes() + output))
      set_state(*each.node, held.state, held.hidden, held.logits);
  }
  for (const Source& each : sources) {
    PrefixNode& node = *each.node;
    if (!each.file.requested.kv) continue;
    const StateSnapshot& kv = each.file.reading->record().kv;
    // Only for a state in RAM, which making room may cost.
    const std::uint64_t bytes = kv.bytes() + node.tokens.size() * sizeof(TokenId);
    if (node.states_held > 0 && make_room(bytes) && node.states_held > 0) set_kv(node, kv);
  }
}

}  // namespace hearth::engine
