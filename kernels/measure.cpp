// Measures memory bandwidth and arithmetic peak. Functions for an instruction set carry it as an
// attribute and are called only where the host has it.
#include "kernels/measure.hpp"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "kernels/access.hpp"
#include "kernels/host_memory.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels {
namespace {

constexpr std::size_t working_set = std::size_t{256} << 20;  // more than caches hold
constexpr std::size_t piece = std::size_t{256} << 10;
constexpr int samples = 5;

// Seconds of the fastest of several runs.
template <class Work>
double fastest(Work work) {
  using Clock = std::chrono::steady_clock;
  work();  // wakes the threads and touches the memory
  double best = 1e9;
  for (int i = 0; i < samples; ++i) {
    const auto began = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - began).count());
  }
  return best;
}

// --- Reading -------------------------------------------------------------------------------------

// Reads `bytes` (a multiple of 32 KiB) in that many streams side by side, each line fetched `ahead`
// bytes before it is needed (0: not).
template <int streams, int ahead>
__attribute__((target("avx512f"))) std::uint64_t read_avx512(const std::byte* from,
                                                             std::size_t bytes) {
  __m512i sums[8] = {};
  const std::size_t stream = bytes / streams;
  for (std::size_t i = 0; i < stream; i += 512 / streams)
    for (int k = 0; k < 8; ++k) {
      const std::size_t line = static_cast<std::size_t>(k / streams) * 64;
      const std::byte* const at = from + static_cast<std::size_t>(k % streams) * stream + i + line;
      if (ahead != 0) _mm_prefetch(at + ahead, _MM_HINT_T0);
      sums[k] = _mm512_add_epi64(sums[k], _mm512_loadu_si512(at));
    }
  for (int k = 1; k < 8; ++k) sums[0] = _mm512_add_epi64(sums[0], sums[k]);
  std::uint64_t parts[8];
  _mm512_storeu_si512(parts, sums[0]);
  return parts[0] + parts[7];
}

template <int ahead>
__attribute__((target("avx2"))) std::uint64_t read_avx2(const std::byte* from, std::size_t bytes) {
  __m256i sums[8] = {};
  for (std::size_t i = 0; i < bytes; i += 256) {
    if (ahead != 0)
      for (int line = 0; line < 256; line += 64) _mm_prefetch(from + i + line + ahead, _MM_HINT_T0);
    for (int k = 0; k < 8; ++k) {
      const auto* const at = reinterpret_cast<const __m256i*>(from + i) + k;
      sums[k] = _mm256_add_epi64(sums[k], _mm256_loadu_si256(at));
    }
  }
  for (int k = 1; k < 8; ++k) sums[0] = _mm256_add_epi64(sums[0], sums[k]);
  std::uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), sums[0]);
  return parts[0] + parts[3];
}

std::uint64_t read_scalar(const std::byte* from, std::size_t bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes; i += sizeof sum) {
    std::uint64_t value = 0;
    __builtin_memcpy(&value, from + i, sizeof value);
    sum += value;
  }
  return sum;
}

constexpr ReadingWay ways[] = {
    {"avx512, 1 stream", Isa::avx512, read_avx512<1, 0>},
    {"avx512, 1 stream, 2 KiB ahead", Isa::avx512, read_avx512<1, 2048>},
    {"avx512, 1 stream, 4 KiB ahead", Isa::avx512, read_avx512<1, 4096>},
    {"avx512, 1 stream, 8 KiB ahead", Isa::avx512, read_avx512<1, 8192>},
    {"avx512, 2 streams", Isa::avx512, read_avx512<2, 0>},
    {"avx512, 2 streams, 2 KiB ahead", Isa::avx512, read_avx512<2, 2048>},
    {"avx512, 4 streams", Isa::avx512, read_avx512<4, 0>},
    {"avx512, 4 streams, 2 KiB ahead", Isa::avx512, read_avx512<4, 2048>},
    {"avx2, 1 stream", Isa::avx2, read_avx2<0>},
    {"avx2, 1 stream, 2 KiB ahead", Isa::avx2, read_avx2<2048>},
    {"scalar", Isa::scalar, read_scalar},
};

// --- Arithmetic ----------------------------------------------------------------------------------

constexpr int chains = 12;  // independent sums: enough to hide the latency of a multiply-add
constexpr std::int64_t steps = 200'000;

__attribute__((target("avx512f"))) float multiply_avx512() {
  __m512 sums[chains];  // all different, or one chain would do for all
  for (int k = 0; k < chains; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(k));
  const __m512 x = _mm512_set1_ps(0.999F);
  for (std::int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, x, x);
  for (int k = 1; k < chains; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2,fma"))) float multiply_avx2() {
  __m256 sums[chains];
  for (int k = 0; k < chains; ++k) sums[k] = _mm256_set1_ps(static_cast<float>(k));
  const __m256 x = _mm256_set1_ps(0.999F);
  for (std::int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, x, x);
  for (int k = 1; k < chains; ++k) sums[0] = _mm256_add_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}

float multiply_scalar() {
  float sums[chains];
  for (int k = 0; k < chains; ++k) sums[k] = static_cast<float>(k);
  for (std::int64_t i = 0; i < steps; ++i)
    for (float& sum : sums) sum = __builtin_fmaf(sum, 0.999F, 0.999F);
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

constexpr int tile_chains = 6;  // of eight tiles; the others are factors
constexpr std::int64_t tile_steps = steps / 8;

__attribute__((target("amx-tile,amx-bf16"))) float multiply_amx() {
  struct alignas(64) {
    std::uint8_t palette = 1;
    std::uint8_t unused[15] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } shapes;
  asm volatile("ldtilecfg %0" : : "m"(shapes));  // the tiles begin as zeros
  for (std::int64_t i = 0; i < tile_steps; ++i)
    asm volatile(
        "tdpbf16ps %tmm7, %tmm6, %tmm0\n tdpbf16ps %tmm7, %tmm6, %tmm1\n"
        "tdpbf16ps %tmm7, %tmm6, %tmm2\n tdpbf16ps %tmm7, %tmm6, %tmm3\n"
        "tdpbf16ps %tmm7, %tmm6, %tmm4\n tdpbf16ps %tmm7, %tmm6, %tmm5");
  asm volatile("tilerelease");
  return 1;
}

struct Multiply {
  float (*run)();
  double multiply_adds;  // of F32, of one run
};

Multiply multiply(Isa isa) {
  constexpr auto registers = static_cast<double>(steps * chains);
  switch (isa) {
    case Isa::amx:
      return {multiply_amx, 16.0 * 16 * 32 / 3 * static_cast<double>(tile_steps * tile_chains)};
    case Isa::avx512:
      return {multiply_avx512, 16 * registers};
    case Isa::avx2:
      return {multiply_avx2, 8 * registers};
    case Isa::scalar:
      break;
  }
  return {multiply_scalar, registers};
}

}  // namespace

std::span<const ReadingWay> reading_ways() {
  return ways;
}

double read_bandwidth(int threads) {
  const Buffer buffer = allocate_host(working_set);
  std::byte* const memory = Access::data(buffer);
  std::fill_n(memory, working_set, std::byte{1});
  Pool pool(threads);
  std::atomic<std::uint64_t> sum = 0;  // keeps the reads from being left out
  double best = 1e9;
  for (const ReadingWay& way : ways) {
    if (!host_has(way.isa)) continue;
    best = std::min(best, fastest([&] {
                      pool.run(static_cast<std::int64_t>(working_set / piece), [&](std::int64_t i) {
                        sum += way.read(memory + static_cast<std::size_t>(i) * piece, piece);
                      });
                    }));
  }
  return sum == 0 ? 0 : static_cast<double>(working_set) / best;
}

double arithmetic_peak(int threads, Isa isa) {
  const Multiply how = multiply(isa);
  const std::int64_t pieces = 8 * std::int64_t{threads};
  Pool pool(threads);
  std::atomic<float> sink = 0;
  const double seconds =
      fastest([&] { pool.run(pieces, [&](std::int64_t) { sink.store(how.run()); }); });
  const double operations = 2 * how.multiply_adds * static_cast<double>(pieces);
  return sink.load() == 0 ? 0 : operations / seconds;
}

LinkSpeed measure_link(Backend& device) {
  constexpr std::size_t bytes = std::size_t{32} << 20;
  const Buffer there = device.allocate(bytes);
  const auto rate = [&](const Buffer& from, const Buffer& to) {
    return static_cast<double>(bytes) / fastest([&] {
             device.transfer(from, 0, to, 0, bytes);
             device.finish();
           });
  };
  LinkSpeed speed;
  const Buffer locked = device.allocate(bytes, MemoryKind::page_locked);
  speed.to_locked = rate(locked, there);
  speed.from_locked = rate(there, locked);
  const Buffer plain = allocate_host(bytes);
  speed.to_plain = rate(plain, there);
  speed.from_plain = rate(there, plain);
  return speed;
}

}  // namespace hearth::kernels
