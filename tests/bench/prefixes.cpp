// prefixes [DIR]: what it costs to keep and to restore a checkpoint of 6,000 tokens of a model of
// 48 layers, from RAM and, with a directory, from disk; with the memory's and the disk's own speed
// beside it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#include "engine/checksum.hpp"
#include "engine/prefix_cache.hpp"
#include "engine/synth.hpp"

namespace {

using namespace hearth;
using namespace hearth::engine;

constexpr std::int64_t tokens_kept = 6000;
constexpr std::int64_t distance = 512;

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
  Sequence(kernels::Backend& backend, const Config& config, const PrefixLayout& layout)
      : caches(layout.caches), recurrent(make_recurrent_state(backend, config)) {
    for (kernels::KvCache& kv : caches) {
      kv.heads = config.num_key_value_heads;
      kv.head_dim = config.head_dim;
    }
  }
  std::vector<kernels::KvCache> caches;
  RecurrentState recurrent;
};

void restore(kernels::Backend& backend, PrefixCache& cache, std::span<const TokenId> tokens,
             Sequence& into) {
  const auto from = cache.take(tokens, 0, 0);
  if (!from || from->position != tokens_kept) std::abort();
  for (kernels::KvCache& kv : into.caches) reserve(backend, kv, 0, tokens_kept);
  Thaw thaw(backend);
  for (const auto& stretch : from->stretches)
    thaw.kv(cache.layout(), stretch.kv, stretch.begin, stretch.from, stretch.to, into.caches);
  thaw.state(from->state, into.recurrent);
  thaw.run();
}

// Plain sequential O_DIRECT reads of the directory's largest files.
void disk_speed(const std::filesystem::path& directory) {
  std::filesystem::path path = directory / "speed";
  HostBlock block(std::size_t{256} << 20);
  std::memset(block.bytes().data(), 1, block.bytes().size());
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
  if (file < 0) return;
  for (std::size_t at = 0; at < block.bytes().size(); at += 8 << 20)
    if (::pwrite(file, block.bytes().data() + at, 8 << 20, static_cast<off_t>(at)) < 0) return;
  ::fsync(file);
  const double ms = best_of(3, [&] {
    std::vector<std::thread> readers;
    for (std::size_t part = 0; part < 4; ++part) {
      readers.emplace_back([&, part] {
        const std::size_t quarter = block.bytes().size() / 4;
        for (std::size_t at = 0; at < quarter; at += 4 << 20)
          if (::pread(file, block.bytes().data() + part * quarter + at, 4 << 20,
                      static_cast<off_t>(part * quarter + at)) < 0)
            std::abort();
      });
    }
    for (std::thread& reader : readers) reader.join();
  });
  show("disk alone, O_DIRECT, 4 MiB, 4 at once", ms, static_cast<double>(block.bytes().size()));
  ::close(file);
  ::unlink(path.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const Config config = published_config(48, 512);
  const PrefixLayout layout = PrefixLayout::of(config, KvType::f32, false);
  kernels::CpuChoice choice;
  const auto backend = kernels::open_cpu(0, {}, choice);
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
    Sequence source(*backend, config, layout);
    for (kernels::KvCache& kv : source.caches) {
      reserve(*backend, kv, 0, tokens_kept);
      for (const kernels::Buffer* half : {&kv.keys, &kv.values})
        std::ranges::fill(backend->map(*half), std::byte{5});
    }
    HostBlock noise(static_cast<std::size_t>(kv_bytes));
    std::memset(noise.bytes().data(), 3, noise.bytes().size());
    HostBlock copied(noise.bytes().size());
    const double copy_ms = best_of(
        5, [&] { std::memcpy(copied.bytes().data(), noise.bytes().data(), noise.bytes().size()); });
    show("memory alone: memcpy", copy_ms, kv_bytes);
    std::uint64_t sum = 0;
    const double sum_ms = best_of(5, [&] { sum ^= checksum(noise.bytes()); });
    show("checksum", sum_ms, kv_bytes);
    if (sum == 1) std::printf(" ");

    auto cache = std::make_unique<PrefixCache>(options, layout, 1);
    double keep_ms = 1e30;
    for (std::int64_t at = distance; at < tokens_kept + distance; at += distance) {
      const std::int64_t end = std::min(at, tokens_kept);
      RecurrentState state = copy(*backend, source.recurrent);
      const double ms = best_of(1, [&] {
        cache->add({std::span(tokens).first(static_cast<std::size_t>(end)), CheckpointKind::regular,
                    freeze_state(*backend, std::move(state)), std::vector<float>(2048),
                    std::vector<float>(151936), [&](std::int64_t begin, std::int64_t to) {
                      return freeze_kv(*backend, layout, source.caches, begin, to);
                    }});
      });
      keep_ms = std::min(keep_ms, ms);
    }
    show("keeping one checkpoint (512 tokens' KV, state moved)", keep_ms,
         kv_bytes * distance / tokens_kept);

    const double cold = best_of(6, [&] {
      Sequence fresh(*backend, config, layout);
      restore(*backend, *cache, tokens, fresh);
    });
    show("restoring 6,000 tokens from RAM, new session", cold, bytes);
    Sequence warm(*backend, config, layout);
    restore(*backend, *cache, tokens, warm);
    show("restoring 6,000 tokens from RAM, session with buffers",
         best_of(5, [&] { restore(*backend, *cache, tokens, warm); }), bytes);
    if (argc > 1) {
      const double ms = best_of(1, [&] {
        cache->persist(std::span(tokens).first(tokens_kept), tokens_kept);
        cache->flush();
      });
      show("writing all 12", ms, static_cast<double>(cache->statistics().disk_bytes));
    }
  }
  if (argc > 1) {
    disk_speed(options.directory);
    Sequence fresh(*backend, config, layout);
    double open_ms = 1e30;
    const double ms = best_of(3, [&] {
      std::unique_ptr<PrefixCache> cache;
      open_ms = std::min(
          open_ms, best_of(1, [&] { cache = std::make_unique<PrefixCache>(options, layout, 1); }));
      restore(*backend, *cache, tokens, fresh);
    });
    show("opening the directory", open_ms, 0);
    show("restoring 6,000 tokens from disk, opening included", ms, bytes);
    std::filesystem::remove_all(options.directory);
  }
}
