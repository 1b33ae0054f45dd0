// prefixes [DIR]: what it costs to keep and to restore a checkpoint of 6,000 tokens of a model of
// 48 layers, from RAM and, with a directory, from disk; with the memory's and the disk's own speed
// beside it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#include "engine/dummy/dummy.hpp"
#include "engine/prefix/cache.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/parallel_for.hpp"

namespace {

using namespace hearth;
using namespace hearth::engine;

constexpr std::int64_t tokens_kept = 6000;
constexpr std::int64_t distance = 512;
constexpr int disk_runs = 5;

// Milliseconds of the best of some runs.
double best_of(int runs, const std::function<void()>& run) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto started = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - started;
    best = std::min(best, spent.count());
  }
  return best;
}

void show(const char* what, double ms, double bytes) {
  std::printf("%-52s %8.1f ms  %6.1f MB  %6.2f GB/s\n", what, ms, bytes / 1e6, bytes / ms / 1e6);
  std::fflush(stdout);
}

struct Sequence {
  Sequence(const StateHomes& homes, const ModelConfig& config, const PrefixLayout& layout)
      : caches(layout.caches), recurrent(make_recurrent_state(homes, config)) {
    for (kernels::KvCache& kv : caches) {
      kv.heads = config.num_key_value_heads;
      kv.head_dim = config.head_dim;
    }
  }
  std::vector<kernels::KvCache> caches;
  RecurrentState recurrent;
};

// False: interrupted.
bool restore(const StateHomes& homes, PrefixCache& cache, std::span<const TokenId> tokens,
             Sequence& into, const std::atomic<bool>* interrupt = nullptr) {
  const auto destination = [&](const PrefixCache::Restored& found) {
    for (kernels::KvCache& kv : into.caches) reserve(*homes.kv.front(), kv, 0, tokens_kept);
    StateRestore restore(homes);
    for (const auto& span : found.spans)
      restore.kv(cache.layout(), span.kv, span.begin, span.from, span.to, into.caches);
    restore.state(found.state, into.recurrent);
    return restore;
  };
  const auto restored = cache.take(tokens, 0, 0, destination, interrupt);
  if (restored && restored->position != tokens_kept) std::abort();
  return restored.has_value();
}

// Milliseconds from the request to stop until a restoration has stopped, at the worst of moments.
double stopped_after(const std::function<void(const std::atomic<bool>*)>& run) {
  double worst = 0;
  for (const int moment : {1, 5, 10, 20, 40, 80}) {
    std::atomic<bool> interrupt = false;
    std::atomic<std::chrono::steady_clock::time_point> asked{};
    std::thread asking([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(moment));
      asked = std::chrono::steady_clock::now();
      interrupt = true;
    });
    run(&interrupt);
    const auto stopped = std::chrono::steady_clock::now();
    asking.join();
    const std::chrono::duration<double, std::milli> spent = stopped - asked.load();
    worst = std::max(worst, spent.count());
  }
  return worst;
}

// Plain O_DIRECT reads of a file of the same size, as many at once as a restoration has.
double disk_speed(const std::filesystem::path& directory, std::size_t bytes) {
  constexpr std::size_t piece = std::size_t{2} << 20;
  const std::filesystem::path path = directory / "speed";
  const std::size_t pieces = bytes / piece;
  HostBlock block(pieces * piece);
  std::memset(block.bytes().data(), 1, block.bytes().size());
  const auto at = [&](std::size_t i) { return block.bytes().data() + i * piece; };
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
  if (file < 0) return 0;
  for (std::size_t i = 0; i < pieces; ++i)
    if (::pwrite(file, at(i), piece, static_cast<off_t>(i * piece)) < 0) return 0;
  ::fsync(file);
  const double ms = best_of(disk_runs, [&] {
    parallel_for(pieces, 8, [&](std::size_t i) {
      if (::pread(file, at(i), piece, static_cast<off_t>(i * piece)) < 0) std::abort();
    });
  });
  show("disk alone, O_DIRECT, 2 MiB, 8 at once", ms, static_cast<double>(pieces * piece));
  ::close(file);
  ::unlink(path.c_str());
  return static_cast<double>(pieces * piece) / ms;
}

}  // namespace

int main(int argc, char** argv) {
  const ModelConfig config = published_config(48, 512);
  const PrefixLayout layout = PrefixLayout::of(config, KvType::f32, false);
  kernels::CpuChoice choice;
  const auto backend = kernels::open_cpu(0, {}, choice);
  const auto linear = std::ranges::count(config.layers, LayerKind::linear_attention);
  const StateHomes homes{
      std::vector<kernels::Backend*>(layout.caches, backend.get()),
      std::vector<kernels::Backend*>(static_cast<std::size_t>(linear), backend.get())};
  std::vector<TokenId> tokens(tokens_kept + 10);
  std::iota(tokens.begin(), tokens.end(), 0);

  PrefixOptions options;
  options.ram_bytes = std::uint64_t{3} << 30;
  options.disk_bytes = std::uint64_t{8} << 30;
  options.daily_bytes = std::uint64_t{1} << 40;
  options.note = [](const std::string& note) { std::printf("%s\n", note.c_str()); };
  if (argc > 1) options.directory = std::filesystem::path(argv[1]) / "prefixes-bench";

  const std::vector<std::size_t> sizes = layout.kv_parts(0, tokens_kept);
  const double kv_bytes = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), 0ULL));
  const double bytes = kv_bytes + static_cast<double>(layout.state_bytes());
  {
    Sequence source(homes, config, layout);
    for (kernels::KvCache& kv : source.caches) {
      reserve(*backend, kv, 0, tokens_kept);
      for (const kernels::Buffer* half : {&kv.keys, &kv.values})
        std::ranges::fill(backend->map(*half).value(), std::byte{5});
    }
    HostBlock noise(static_cast<std::size_t>(kv_bytes));
    std::memset(noise.bytes().data(), 3, noise.bytes().size());
    HostBlock copied(noise.bytes().size());
    const double copy_ms = best_of(
        5, [&] { std::memcpy(copied.bytes().data(), noise.bytes().data(), noise.bytes().size()); });
    show("memory alone: memcpy", copy_ms, kv_bytes);
    std::uint64_t sum = 0;
    const double sum_ms = best_of(5, [&] { sum ^= digest(noise.bytes()); });
    show("checksum", sum_ms, kv_bytes);
    if (sum == 1) std::printf(" ");

    auto cache = std::make_unique<PrefixCache>(options, layout, 1);
    double keep_ms = 1e30;
    for (std::int64_t at = distance; at < tokens_kept + distance; at += distance) {
      const std::int64_t end = std::min(at, tokens_kept);
      RecurrentState state = make_recurrent_state(homes, config);
      const double ms = best_of(1, [&] {
        cache->add({std::span(tokens).first(static_cast<std::size_t>(end)), CheckpointKind::regular,
                    save_state(homes, std::move(state)), std::vector<float>(2048),
                    std::vector<float>(151936), 0,
                    [&](std::int64_t begin, std::int64_t to, const std::atomic<bool>* interrupt) {
                      return save_kv(homes, layout, source.caches, begin, to, interrupt);
                    }});
      });
      keep_ms = std::min(keep_ms, ms);
    }
    show("keeping one checkpoint (512 tokens' KV, state moved)", keep_ms,
         kv_bytes * distance / tokens_kept);

    const double cold = best_of(6, [&] {
      Sequence fresh(homes, config, layout);
      restore(homes, *cache, tokens, fresh);
    });
    show("restoring 6,000 tokens from RAM, new session", cold, bytes);
    Sequence warm(homes, config, layout);
    restore(homes, *cache, tokens, warm);
    show("restoring 6,000 tokens from RAM, session with buffers",
         best_of(5, [&] { restore(homes, *cache, tokens, warm); }), bytes);
    std::printf("%-52s %8.1f ms\n", "stopping that when asked, at worst",
                stopped_after([&](const std::atomic<bool>* interrupt) {
                  Sequence fresh(homes, config, layout);
                  restore(homes, *cache, tokens, fresh, interrupt);
                }));
    if (argc > 1) {
      const double ms = best_of(1, [&] {
        cache->persist(std::span(tokens).first(tokens_kept), tokens_kept);
        cache->flush();
      });
      show("writing all 12", ms, static_cast<double>(cache->statistics().disk_bytes));
    }
  }
  if (argc > 1) {
    const double disk = disk_speed(options.directory, static_cast<std::size_t>(bytes));
    std::unique_ptr<PrefixCache> cache;
    const auto open = [&] { cache = std::make_unique<PrefixCache>(options, layout, 1); };
    const auto close = [&] { cache.reset(); };
    double open_ms = 1e30;
    double read_ms = 1e30;
    Sequence into(homes, config, layout);
    for (int run = 0; run < disk_runs; ++run) {
      open_ms = std::min(open_ms, best_of(1, open));
      read_ms = std::min(read_ms, best_of(1, [&] { restore(homes, *cache, tokens, into); }));
      close();
    }
    show("opening the directory", open_ms, 0);
    show("restoring 6,000 tokens from disk", read_ms, bytes);
    std::printf("%-52s %8.0f %%\n", "of the disk's bandwidth", 100 * bytes / read_ms / disk);
    std::printf("%-52s %8.1f ms\n", "stopping that when asked, at worst",
                stopped_after([&](const std::atomic<bool>* interrupt) {
                  open();
                  restore(homes, *cache, tokens, into, interrupt);
                  close();
                }));
    std::filesystem::remove_all(options.directory);
  }
}
