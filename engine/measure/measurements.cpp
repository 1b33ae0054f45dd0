// Measures the machine, prefill, decode and warm-ups.
#include "engine/measure/measurements.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <new>
#include <numeric>
#include <random>
#include <thread>

#include "engine/experts/cache.hpp"
#include "engine/experts/reader.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/session_access.hpp"
#include "engine/support/mutex.hpp"
#include "kernels/measure.hpp"

namespace hearth::engine {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

std::vector<TokenId> made_up_tokens(const Engine& engine, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<TokenId> token(
      0, static_cast<TokenId>(engine.config().vocab_size) - 1);
  std::vector<TokenId> tokens(count);
  for (TokenId& each : tokens) each = token(random);
  return tokens;
}

// All leases of a request whose experts have room together.
std::vector<Lease> take_all(Leases& leases) {
  std::vector<Lease> all;
  for (auto some = leases.next(); !some.empty(); some = leases.next())
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

// How many seconds `step` worked on after it was asked to stop, each time that it was. Ends early
// where there is nothing left to do.
template <typename Step>
std::vector<double> interrupt_times(int times, Step step) {
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    std::atomic<bool> interrupt = false;
    Clock::time_point asked;
    std::thread person([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200 + 137 * (i % 7)));
      asked = Clock::now();
      interrupt = true;
    });
    Progress progress = Progress::more;
    while (progress == Progress::more) progress = step(&interrupt);
    const auto stopped = Clock::now();
    person.join();
    if (progress != Progress::interrupted) break;
    seconds.push_back(std::max(0.0, std::chrono::duration<double>(stopped - asked).count()));
  }
  return seconds;
}

}  // namespace

MachineSpeed measure_machine(Runtime& runtime) {
  const int threads = runtime.engine().threads();
  MachineSpeed machine;
  machine.memory = kernels::read_bandwidth(threads);
  machine.arithmetic = kernels::arithmetic_peak(threads, runtime.engine().isa());
  machine.disk = disk_bandwidth(runtime, 3);
  return machine;
}

kernels::LinkSpeed measure_link(int index) {
  return kernels::measure_link(*kernels::open_cuda(index));
}

std::uint64_t peak_resident() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

double disk_bandwidth(Runtime& runtime, double seconds) {
  constexpr std::size_t at_once = 12;  // experts, as when a token misses nearly all
  const Engine& engine = runtime.engine();
  const ExpertStore& store = *engine.model().store;
  if (store.size() == 0) return 0;
  kernels::Backend& backend = runtime.backend();
  const kernels::Buffer memory =
      backend.allocate(std::max<std::size_t>(at_once * store.slot_bytes(), std::size_t{4} << 20),
                       kernels::MemoryKind::page_locked);
  const std::span<std::byte> slots = *backend.map(memory);  // the host's
  const auto reader = open_reader(engine.options().experts.reader, engine.model().tensors->files());

  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::size_t> expert(0, store.size() - 1);
  Mutex mutex;
  Condition done;
  std::vector<std::size_t> idle;
  for (std::size_t slot = 0; slot < at_once; ++slot) idle.push_back(slot);
  ReadResult failure;
  std::uint64_t bytes = 0;
  // A median of windows, so that a moment in which the disk serves others does not count.
  constexpr int windows = 9;
  std::vector<double> speeds;
  auto window_began = Clock::now();
  std::uint64_t bytes_before = 0;
  Lock lock(mutex);
  const auto wants_more = [&] { return speeds.size() < windows && failure.complete(); };
  while (wants_more() || idle.size() < at_once) {
    while (idle.empty()) done.wait(lock);
    if (const double passed = since(window_began); passed >= seconds / windows) {
      speeds.push_back(static_cast<double>(bytes - bytes_before) / passed);
      window_began = Clock::now();
      bytes_before = bytes;
    }
    if (!wants_more()) {
      while (idle.size() < at_once) done.wait(lock);
      break;
    }
    const std::size_t slot = idle.back();
    idle.pop_back();
    ReadJob job;
    job.reads = store.reads(static_cast<ExpertStore::Key>(expert(random)),
                            slots.subspan(slot * store.slot_bytes(), store.slot_bytes()));
    job.done = [&, slot](const ReadResult& result) {
      const Lock finished(mutex);
      if (failure.complete()) failure = result;
      bytes += store.expert_bytes();
      idle.push_back(slot);
      done.notify_one();
    };
    lock.unlock();
    reader->submit(std::move(job));
    lock.lock();
  }
  if (failure.end == ReadResult::End::no_memory) throw std::bad_alloc();
  if (!failure.complete()) throw Error(failure.error);
  std::ranges::sort(speeds);
  return speeds[speeds.size() / 2];
}

double expert_seconds(Runtime& runtime) {
  const ModelConfig& config = runtime.engine().config();
  if (config.is_dense()) return 0;
  ExpertCache& cache = *runtime.executor().experts;
  kernels::Backend& backend = runtime.backend();
  const auto hidden = static_cast<std::size_t>(config.hidden_size);
  const auto width = static_cast<std::size_t>(config.moe_intermediate_size);
  const std::size_t group = std::min<std::size_t>(
      static_cast<std::size_t>(config.num_experts_per_tok), runtime.experts().slots);
  const kernels::Buffer x = backend.allocate(hidden * sizeof(float));
  const kernels::Buffer inner = backend.allocate(2 * group * width * sizeof(float));
  const kernels::Buffer out = backend.allocate(group * hidden * sizeof(float));
  const kernels::Slice gates = kernels::slice(inner, 0, group * width);
  const kernels::Slice ups = kernels::slice(inner, group * width * sizeof(float), group * width);

  // Experts of layer 0, other ones each time, so that no cache holds them.
  const auto groups =
      std::min(static_cast<std::size_t>(config.num_experts), runtime.experts().slots) / group;
  std::vector<double> times;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t g = 0; g < groups; ++g) {
      std::vector<ExpertId> wanted;
      for (std::size_t i = 0; i < group; ++i) {
        wanted.push_back(ExpertId{static_cast<std::int32_t>(g * group + i)});
      }
      cache.lend(LayerId{0}, wanted, Pass::decode, nullptr, [&](Leases& leases) {
        std::vector<Lease> all = take_all(leases);
        std::erase_if(all, [](const Lease& lease) { return lease.device != 0; });
        if (all.empty()) return;
        std::vector<kernels::MatMul> in;
        std::vector<kernels::MatMul> last;
        for (std::size_t i = 0; i < all.size(); ++i) {
          const ExpertWeights& weights = all[i].weights;
          in.push_back({weights.gate, kernels::slice(x), gates.sub(i * width, width), 1});
          in.push_back({weights.up, kernels::slice(x), ups.sub(i * width, width), 1});
          last.push_back({weights.down, gates.sub(i * width, width),
                          kernels::slice(out).sub(i * hidden, hidden), 1});
        }
        const auto began = Clock::now();
        backend.matmul(in, kernels::ProductForm::gemv);
        backend.silu_mul(gates, ups, gates);
        backend.matmul(last, kernels::ProductForm::gemv);
        backend.finish();
        if (round > 0) times.push_back(since(began) / static_cast<double>(all.size()));
      });
    }
  }
  std::ranges::sort(times);
  return times.empty() ? 0 : times[times.size() / 2];
}

DecodeRun decode(Session& session, std::size_t tokens, const std::atomic<bool>* interrupt) {
  using Part = Stage::Part;
  Runtime& runtime = session.runtime();
  const ExpertStatus before = runtime.experts();
  const std::vector<TokenId> ids =
      made_up_tokens(session.engine(), tokens, static_cast<std::uint64_t>(session.position()) + 17);
  session.want_logits(1, {});
  DecodeRun run;
  const auto began = Clock::now();
  for (const TokenId id : ids) {
    if (interrupt != nullptr && interrupt->load()) break;
    Chunk chunk = SessionAccess::decode_chunk(session, std::span(&id, 1));
    ExpertStatus last = runtime.experts();
    while (chunk.stage.part != Part::done) {
      const Part part = chunk.stage.part;
      const auto stage_began = Clock::now();
      SessionAccess::advance(session, chunk, nullptr);
      const double seconds = since(stage_began);
      if (part == Part::head) {
        run.head += seconds;
      } else if (part == Part::mixer) {
        run.mixers += seconds;
      } else if (part == Part::experts) {
        run.experts += seconds;
        const ExpertStatus now = runtime.experts();
        run.layers.push_back({static_cast<std::uint32_t>(now.hits - last.hits),
                              static_cast<std::uint32_t>(now.misses - last.misses)});
        last = now;
      }
    }
    ++run.tokens;
  }
  run.seconds = since(began);
  const ExpertStatus after = runtime.experts();
  run.hits = after.hits - before.hits;
  run.misses = after.misses - before.misses;
  run.bytes_read = after.bytes_read - before.bytes_read;
  run.prefetched = after.prefetched - before.prefetched;
  run.prefetch_useful = after.prefetch_useful - before.prefetch_useful;
  run.check_seconds = after.check_seconds - before.check_seconds;
  run.check_wait_seconds = after.check_wait_seconds - before.check_wait_seconds;
  return run;
}

PrefillRun prefill(Session& session, std::size_t tokens, std::uint64_t seed,
                   const std::atomic<bool>* interrupt) {
  Runtime& runtime = session.runtime();
  const ExpertStatus before = runtime.experts();
  const std::vector<TokenId> prompt = made_up_tokens(session.engine(), tokens, seed);
  PrefillRun run;
  const auto began = Clock::now();
  session.sync(prompt);
  const std::size_t cached = session.tokens().size();
  Progress progress = Progress::more;
  while (progress == Progress::more) progress = session.prefill(prompt, {}, interrupt);
  run.seconds = since(began);
  run.tokens = session.tokens().size() - cached;
  const ExpertStatus after = runtime.experts();
  run.hits = after.hits - before.hits;
  run.misses = after.misses - before.misses;
  run.bytes_read = after.bytes_read - before.bytes_read;
  return run;
}

std::vector<double> interrupt_prefill(Session& session, std::size_t tokens, int times) {
  const std::vector<TokenId> prompt = made_up_tokens(session.engine(), tokens, 11);
  session.sync(prompt);
  return interrupt_times(times, [&](const std::atomic<bool>* interrupt) {
    return session.prefill(prompt, {}, interrupt);
  });
}

std::vector<double> interrupt_decode(Session& session, int times) {
  const std::vector<TokenId> tokens = made_up_tokens(session.engine(), 4096, 13);
  std::size_t next = 0;
  return interrupt_times(times, [&](const std::atomic<bool>* interrupt) {
    const TokenId token = tokens[next++ % tokens.size()];
    const bool is_interrupted = session.decode(token, interrupt) == Progress::interrupted;
    return is_interrupted ? Progress::interrupted : Progress::more;
  });
}

void forget_experts(Runtime& runtime) {
  runtime.executor().experts->forget();
}

WarmUp warm_experts(Runtime& runtime, const std::atomic<bool>* interrupt) {
  ExpertCache& cache = *runtime.executor().experts;
  const ExpertStatus before = cache.status();
  const std::vector<float> uses = cache.recent_uses();
  std::vector<ExpertStore::Key> keys(uses.size());
  std::iota(keys.begin(), keys.end(), 0);
  std::ranges::stable_sort(keys, std::greater{}, [&](ExpertStore::Key key) {
    return uses[static_cast<std::size_t>(key)];
  });
  keys.resize(std::min(keys.size(), cache.room()));
  const auto began = Clock::now();
  cache.warm(std::move(keys));
  wait_until_warm(runtime, interrupt);
  const ExpertStatus after = cache.status();
  return {after.resident - before.resident, after.bytes_read - before.bytes_read, since(began)};
}

void wait_until_warm(const Runtime& runtime, const std::atomic<bool>* interrupt) {
  while (runtime.experts().warming && (interrupt == nullptr || !interrupt->load())) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

double min_seconds(const DecodeRun& run, const Costs& costs, const MachineSpeed& machine,
                   double expert_seconds) {
  double total = run.mixers + run.head;
  for (std::size_t i = 0; i < run.layers.size(); ++i) {
    const DecodeRun::Layer& layer = run.layers[i];
    total +=
        costs.layers[i % costs.layers.size()].moe_bytes / machine.memory +
        std::max(layer.misses * costs.expert_bytes / machine.disk, layer.hits * expert_seconds);
  }
  return total;
}

}  // namespace hearth::engine
