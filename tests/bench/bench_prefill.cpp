// How fast prefill's operations are, beside what this machine could do at all:
//   bench-prefill [threads] [amx|avx512|avx2|scalar] [shared]
// First the peak of F32 multiply-adds and the read bandwidth, then GEMMs of the real
// shapes, attention and the delta rule. Every figure is the median of several runs. On AMX, whose
// products are computed in three parts of BF16, each product is measured by turns with the same in
// two parts, and what the third costs is printed, at last for a whole layer. "shared" is for a
// machine that others use: it counts the CPU time of all threads divided by their number, so that
// waiting for a core does not count (and waiting for each other does not either).
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/cpu/backend.hpp"
#include "kernels/measure.hpp"
#include "kernels/ops.hpp"
#include "tests/kernels/gemm/amx_two_parts.hpp"

namespace {

using namespace hearth::kernels;

constexpr double min_seconds = 0.02;  // of one run
constexpr int runs = 5;

// 0: by the clock on the wall; otherwise by the CPU time of that many threads.
int shared_by = 0;

double now() {
  timespec time{};
  clock_gettime(shared_by > 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  const double seconds =
      static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  return shared_by > 0 ? seconds / shared_by : seconds;
}

double seconds_of(const std::function<void()>& work) {
  const double begin = now();
  work();
  return now() - begin;
}

// Seconds of one call of each of some works, by turns, the medians of `runs` runs.
std::vector<double> measure(const std::vector<std::function<void()>>& works) {
  std::vector<int> calls;
  for (const auto& work : works) {
    const double once = seconds_of(work);
    calls.push_back(once > min_seconds ? 1 : static_cast<int>(min_seconds / once) + 1);
  }
  std::vector<std::vector<double>> times(works.size());
  for (int run = 0; run < runs; ++run)
    for (std::size_t i = 0; i < works.size(); ++i)
      times[i].push_back(seconds_of([&] {
                           for (int call = 0; call < calls[i]; ++call) works[i]();
                         }) /
                         calls[i]);
  std::vector<double> medians;
  for (std::vector<double>& all : times) {
    std::nth_element(all.begin(), all.begin() + runs / 2, all.end());
    medians.push_back(all[runs / 2]);
  }
  return medians;
}

double measure(const std::function<void()>& work) {
  return measure(std::vector{work})[0];
}

void on_threads(int threads, const std::function<void(int)>& work) {
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) all.emplace_back([&work, t] { work(t); });
  for (std::thread& thread : all) thread.join();
}

// --- What the machine can do ---------------------------------------------------------------------

constexpr std::int64_t chain_steps = 4'000'000;

// Independent chains of multiply-adds in registers; their number.
[[gnu::target("avx512f")]] std::int64_t chains_avx512() {
  __m512 sums[16];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1);
  const __m512 factor = _mm512_set1_ps(0.5f);
  for (std::int64_t i = 0; i < chain_steps; ++i)
#pragma GCC unroll 16
    for (__m512& sum : sums) asm volatile("vfmadd213ps %1, %1, %0" : "+v"(sum) : "v"(factor));
  return chain_steps * 16 * 16;
}
[[gnu::target("avx2,fma")]] std::int64_t chains_avx2() {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_set1_ps(1);
  const __m256 factor = _mm256_set1_ps(0.5f);
  for (std::int64_t i = 0; i < chain_steps; ++i)
#pragma GCC unroll 12
    for (__m256& sum : sums) asm volatile("vfmadd213ps %1, %1, %0" : "+x"(sum) : "x"(factor));
  return chain_steps * 12 * 8;
}

// Multiply-adds a second.
double peak(Isa isa, int threads) {
  if (isa == Isa::scalar) return 0;
  if (isa == Isa::amx) return arithmetic_peak(threads, isa) / 2;  // one operation of two
  std::int64_t count = 0;
  shared_by = shared_by > 0 ? threads : 0;
  const double seconds = measure([&] {
    on_threads(threads, [&](int thread) {
      const std::int64_t done = isa == Isa::avx512 ? chains_avx512() : chains_avx2();
      if (thread == 0) count = done;
    });
  });
  return static_cast<double>(count) * threads / seconds;
}

double memory_bandwidth(int threads) {
  const std::vector<std::uint64_t> memory(std::size_t{32} << 20, 1);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);  // a cache line apart
  shared_by = shared_by > 0 ? threads : 0;
  const double seconds = measure([&] {
    on_threads(threads, [&](int t) {
      const std::size_t share = memory.size() / static_cast<std::size_t>(threads);
      const std::uint64_t* const from = memory.data() + share * static_cast<std::size_t>(t);
      std::uint64_t sum[8] = {};
      for (std::size_t i = 0; i + 8 <= share; i += 8)
        for (int lane = 0; lane < 8; ++lane) sum[lane] += from[i + lane];
      for (const std::uint64_t value : sum) sums[static_cast<std::size_t>(t) * 8] += value;
    });
  });
  return sums[0] == 0 ? 0 : static_cast<double>(memory.size() * sizeof(memory[0])) / seconds;
}

// --- Operands ------------------------------------------------------------------------------------

// Values and weights that live as long as this.
class Operands {
 public:
  explicit Operands(Backend& backend) : backend_(backend) {}

  Slice values(std::int64_t count, float value = 0.25f) {
    buffers_.push_back(backend_.allocate(static_cast<std::size_t>(count) * sizeof(float)));
    const Slice all = slice(buffers_.back());
    std::vector<float> some(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < some.size(); ++i)
      some[i] =
          value * static_cast<float>(static_cast<int>(i * 2654435761u >> 16 & 255u) - 128) / 128;
    backend_.write(all, some);
    return all;
  }
  Matrix matrix(DType type, std::int64_t rows, std::int64_t cols) {
    const Slice scales =
        type == DType::f8_e4m3 ? values((rows + 127) / 128 * ((cols + 127) / 128)) : Slice{};
    buffers_.push_back(backend_.allocate(static_cast<std::size_t>(rows * cols) * size_of(type)));
    const std::span<std::byte> codes = backend_.map(buffers_.back()).value();
    for (std::size_t i = 0; std::byte & code : codes)
      code = static_cast<std::byte>((i++ * 2654435761u >> 24) & 0xbb);  // never NaN
    return {buffers_.back(), 0, type, rows, cols, scales};
  }

 private:
  Backend& backend_;
  std::vector<Buffer> buffers_;
};

struct Machine {
  double peak = 0;       // multiply-adds a second
  double bandwidth = 0;  // bytes a second
};

// Seconds of products as they are, and in two parts where that is something else.
struct Times {
  double now = 0;
  double in_two_parts = 0;

  void add(const Times& more, double times = 1) {
    now += times * more.now;
    in_two_parts += times * more.in_two_parts;
  }
  void print() const {
    if (in_two_parts > 0)
      std::printf("  two parts %8.3f ms: %.1f %% lost", in_two_parts * 1e3,
                  100 * (1 - in_two_parts / now));
  }
};

// The backend to be measured and, on AMX, the same with products in two parts.
struct Backends {
  std::unique_ptr<Backend> now;
  std::unique_ptr<Backend> in_two_parts;

  Times measure_products(const std::function<void(Backend&)>& work) const {
    std::vector<std::function<void()>> works = {[&] { work(*now); }};
    if (in_two_parts) works.emplace_back([&] { work(*in_two_parts); });
    const std::vector<double> seconds = measure(works);
    return {.now = seconds.front(), .in_two_parts = in_two_parts ? seconds.back() : 0};
  }
};

void print_share(double multiply_adds, double seconds, const Machine& machine) {
  std::printf(" %8.3f ms %8.1f GFLOP/s", seconds * 1e3, 2e-9 * multiply_adds / seconds);
  if (machine.peak > 0) std::printf(" %5.1f %%", 100 * multiply_adds / seconds / machine.peak);
}

// --- Operations ----------------------------------------------------------------------------------

// Returns the time of a layer's products of 2048 rows.
Times dense(const Backends& backends, const Machine& machine) {
  constexpr int layer_rows = 2048;
  Times layer;
  struct Shape {
    const char* name;
    DType type;
    std::int64_t rows, cols;
  };
  std::printf("\n%-28s %6s %11s %16s %7s\n", "dense", "rows", "time", "speed", "peak");
  for (const Shape shape : {Shape{"qkvz f8 12288x2048", DType::f8_e4m3, 12288, 2048},
                            Shape{"out f8 2048x4096", DType::f8_e4m3, 2048, 4096},
                            Shape{"k f8 512x2048", DType::f8_e4m3, 512, 2048},
                            Shape{"router bf16 512x2048", DType::bf16, 512, 2048}})
    for (const int rows : {64, 512, layer_rows}) {
      Operands operands(*backends.now);
      const Matrix w = operands.matrix(shape.type, shape.rows, shape.cols);
      const Slice x = operands.values(rows * shape.cols), y = operands.values(rows * shape.rows);
      const Times times = backends.measure_products(
          [&](Backend& backend) { backend.matmul(w, x, y, rows, ProductForm::gemm); });
      std::printf("%-28s %6d", shape.name, rows);
      print_share(static_cast<double>(rows * shape.rows * shape.cols), times.now, machine);
      times.print();
      std::printf("\n");
      if (rows == layer_rows) layer.add(times);
    }
  return layer;
}

// 32 experts: gate and up, then down, as a layer runs them. Several layers' worth of weights take
// turns, so that no cache holds them. Returns the time of a layer's 512 experts for 2048 rows.
Times experts(const Backends& backends, const Machine& machine) {
  constexpr int count = 32, layers = 3, layer_rows = 40;
  Times layer_times;
  constexpr std::int64_t hidden = 2048, width = 512;
  std::printf("\n%-28s %6s %11s %16s %7s %10s %9s\n", "32 experts, rows of each", "rows", "time",
              "speed", "peak", "read", "of memory");
  Operands operands(*backends.now);
  std::vector<Matrix> gate, up, down;
  for (int e = 0; e < count * layers; ++e) {
    gate.push_back(operands.matrix(DType::f8_e4m3, width, hidden));
    up.push_back(operands.matrix(DType::f8_e4m3, width, hidden));
    down.push_back(operands.matrix(DType::f8_e4m3, hidden, width));
  }
  for (const int rows : {1, 2, 4, 10, layer_rows, 160}) {
    std::vector<MatMul> in, out;
    for (int e = 0; e < count * layers; ++e) {
      const auto index = static_cast<std::size_t>(e);
      const Slice x = operands.values(rows * hidden), h = operands.values(rows * width);
      in.push_back({gate[index], x, h, rows});
      in.push_back({up[index], x, operands.values(rows * width), rows});
      out.push_back({down[index], h, operands.values(rows * hidden), rows});
    }
    int layer = 0;
    const Times times = backends.measure_products([&](Backend& backend) {
      const auto first = static_cast<std::size_t>(layer * count);
      backend.matmul(std::span(in).subspan(2 * first, 2 * count), ProductForm::gemm);
      backend.matmul(std::span(out).subspan(first, count), ProductForm::gemm);
      layer = (layer + 1) % layers;
    });
    const double weights = 3.0 * count * hidden * width;
    std::printf("%-28s %6d", "gate, up; down", rows);
    print_share(weights * rows, times.now, machine);
    std::printf(" %5.1f GB/s %7.1f %%", weights / times.now * 1e-9,
                100 * weights / times.now / machine.bandwidth);
    times.print();
    std::printf("\n");
    if (rows == layer_rows) layer_times.add(times, 512.0 / count);
  }
  return layer_times;
}

void attention(Backend& backend, const Machine& machine) {
  constexpr int heads = 16, kv_heads = 2, dim = 256;
  std::printf("\n%-28s %6s %11s %16s %7s\n", "attention (depth before)", "rows", "time", "speed",
              "peak");
  for (const DType type : {DType::f32, DType::f16})
    for (const int depth : {0, 4096, 8192}) {
      const int rows = 512;
      Operands operands(backend);
      const std::int64_t width = kv_heads * dim;
      const auto bytes = static_cast<std::size_t>((depth + rows) * width) * size_of(type);
      KvCache kv{.keys = backend.allocate(bytes),
                 .values = backend.allocate(bytes),
                 .type = type,
                 .capacity = depth + rows,
                 .heads = kv_heads,
                 .head_dim = dim};
      const Slice some = operands.values((depth + rows) * width);
      backend.kv_append(kv, some, some, 0, depth + rows);
      const Slice q = operands.values(rows * heads * dim),
                  out = operands.values(rows * heads * dim);
      const double seconds = measure([&] {
        backend.attention({.rows = rows,
                           .heads = heads,
                           .first_position = depth,
                           .scale = 0.0625f,
                           .q = q,
                           .out = out},
                          kv);
      });
      const double pairs = static_cast<double>(rows) * depth + 0.5 * rows * (rows + 1);
      std::printf("%-20s %7d %6d", type == DType::f32 ? "kv f32" : "kv f16", depth, rows);
      print_share(pairs * heads * dim * 2, seconds, machine);
      std::printf("\n");
    }
}

// Returns the time of 2048 rows.
double delta_rule(Backend& backend, const Machine& machine) {
  double last = 0;
  constexpr int key_heads = 16, value_heads = 32, dim = 128;
  std::printf("\n%-28s %6s %11s %16s %7s\n", "delta rule", "rows", "time", "speed", "peak");
  for (const int rows : {512, 2048}) {
    Operands operands(backend);
    const std::int64_t width = 2 * key_heads * dim + value_heads * dim;
    const Slice mixed = operands.values(rows * width, 0.05f);
    const auto at = [&](std::int64_t offset) {
      const auto skipped = static_cast<std::size_t>(offset);
      return Rows{mixed.sub(skipped, mixed.size() - skipped), width};
    };
    const std::int64_t state = std::int64_t{value_heads} * dim * dim;
    Slice g = operands.values(rows * value_heads);
    backend.write(g, std::vector<float>(g.size(), -0.1f));
    const DeltaRule args{.rows = rows,
                         .key_heads = key_heads,
                         .value_heads = value_heads,
                         .key_dim = dim,
                         .value_dim = dim,
                         .first_position = 0,
                         .q = at(0),
                         .k = at(key_heads * dim),
                         .v = at(2 * key_heads * dim),
                         .g = g,
                         .beta = operands.values(rows * value_heads, 0.5f),
                         .state_in = operands.values(state),
                         .state_out = operands.values(state),
                         .out = operands.values(rows * value_heads * dim)};
    const double seconds = measure([&] { backend.delta_rule(args, DeltaForm::chunked); });
    // Of a chunk of 64: Sᵀk, Sᵀq, the state's update (64·128·128 each), k·k, q·k (64·64·128, half
    // of it used) and two triangular products of the same size.
    const double per_row = 3.0 * dim * dim + 4 * 0.5 * 64 * dim;
    std::printf("%-28s %6d", "chunked", rows);
    print_share(per_row * rows * value_heads, seconds, machine);
    std::printf("\n");
    last = seconds;
  }
  return last;
}

// What a layer does to every row beside its products.
void rows(Backend& backend, const Machine& machine) {
  constexpr int rows = 4096, hidden = 2048, channels = 8192, experts = 512, slots = 10;
  std::printf("\n%-28s %6s %11s %12s %10s\n", "rows", "rows", "time", "moved", "of memory");
  Operands operands(backend);
  const Slice x = operands.values(std::int64_t{rows} * hidden);
  const Slice out = operands.values(std::int64_t{rows} * hidden);
  const Slice wide = operands.values(std::int64_t{rows} * 12288);
  const Slice wide_out = operands.values(std::int64_t{rows} * 12288);
  const Slice weight = operands.values(4 * channels);
  const auto report = [&](const char* name, double values, const std::function<void()>& work) {
    const double seconds = measure(work);
    const double bytes = values * sizeof(float);
    std::printf("%-28s %6d %8.3f ms %7.1f GB/s %8.1f %%\n", name, rows, seconds * 1e3,
                bytes / seconds * 1e-9, 100 * bytes / seconds / machine.bandwidth);
  };
  const double all = double{rows} * hidden;
  report("rms_norm 2048", 2 * all, [&] {
    backend.rms_norm({x, hidden}, weight.sub(0, hidden), {out, hidden}, rows, hidden, 1e-6f);
  });
  report("rms_norm 16 x 256", 4 * all, [&] {
    backend.rms_norm({wide, 256}, weight.sub(0, 256), {wide_out, 256}, rows * 16, 256, 1e-6f);
  });
  report("gated_rms_norm 32 x 128", 6 * all, [&] {
    const Slice z = wide_out.sub(0, std::size_t{rows} * 4096);
    backend.gated_rms_norm(wide.sub(0, std::size_t{rows} * 4096), z, weight.sub(0, 128), z,
                           rows * 32, 128, 1e-6f);
  });
  report("l2_norm 16 x 128", 2 * all, [&] {
    backend.l2_norm({wide_out, channels}, rows, 16, 128, 1.0f);
  });
  report("conv_silu 8192", 8 * all, [&] {
    const Slice history = weight.sub(0, 3 * channels);
    backend.conv_silu(wide.sub(0, std::size_t{rows} * channels), weight, history, history,
                      wide_out.sub(0, std::size_t{rows} * channels), rows, channels, 4);
  });
  report("split_groups 16 x 768", 12 * all, [&] {
    const Slice qkv = wide_out.sub(0, std::size_t{rows} * channels);
    const Slice z = wide_out.sub(std::size_t{rows} * channels, std::size_t{rows} * 4096);
    const SplitSpec parts[] = {{qkv, 128, channels, 0},
                               {qkv, 128, channels, 2048},
                               {qkv, 256, channels, 4096},
                               {z, 256, 4096, 0}};
    backend.split_groups(wide, rows, 16, parts);
  });
  report("silu_mul 512", 0.75 * all, [&] {
    const Slice gate = wide.sub(0, std::size_t{rows} * 512);
    backend.silu_mul(gate, out.sub(0, gate.size()), gate);
  });
  std::vector<std::int32_t> order(rows);
  for (int r = 0; r < rows; ++r) order[static_cast<std::size_t>(r)] = r * 1237 % rows;
  report("gather_rows 2048", 2 * all, [&] { backend.gather_rows(x, hidden, order, out); });
  report("scatter_rows 2048", 2 * all, [&] { backend.scatter_rows(x, hidden, order, out); });
  {
    const Slice y = operands.values(std::int64_t{rows} * slots * hidden);
    const std::vector<float> weights(std::size_t{rows} * slots, 0.1f);
    report("combine_experts 10 x 2048", (slots + 3) * all, [&] {
      backend.combine_experts(y, weights, x, weight.sub(0, rows), x, out, rows, slots, hidden);
    });
  }
  const Slice scores = wide.sub(0, std::size_t{rows} * experts);
  report("softmax 512", 0.5 * all, [&] { backend.softmax(scores, rows, experts); });
  std::vector<std::int32_t> ids(std::size_t{rows} * slots);
  std::vector<float> values(ids.size());
  report("top_k 10 of 512", 0.25 * all,
         [&] { backend.top_k(scores, rows, experts, slots, ids, values); });
}

int run(int threads, std::optional<Isa> forced) {
  CpuChoice choice;
  Backends backends{.now = open_cpu(threads, forced, choice), .in_two_parts = nullptr};
  const std::unique_ptr<Backend>& backend = backends.now;
  if (choice.isa == Isa::amx)
    backends.in_two_parts = cpu::make_backend(
        cpu::avx512_table, {&test::amx_two_parts, "bf16x2", "amx bf16x2"}, 1 << 21, threads, "");
  for (const std::string& note : choice.notes) std::printf("note: %s\n", note.c_str());
  std::printf("%s; GEMMs: %s\n", backend->description().c_str(), choice.gemm.c_str());
  const double peak_of_one = peak(choice.isa, 1), bandwidth_of_one = memory_bandwidth(1);
  const Machine machine{.peak = peak(choice.isa, threads), .bandwidth = memory_bandwidth(threads)};
  std::printf("F32 multiply-adds: %.1f GFLOP/s on 1 thread, %.1f on %d\n", 2e-9 * peak_of_one,
              2e-9 * machine.peak, threads);
  std::printf("memory read: %.1f GB/s on 1 thread, %.1f on %d\n", 1e-9 * bandwidth_of_one,
              1e-9 * machine.bandwidth, threads);
  Times layer = dense(backends, machine);
  layer.add(experts(backends, machine));
  attention(*backend, machine);
  const double delta = delta_rule(*backend, machine);
  rows(*backend, machine);
  if (backends.in_two_parts) {
    layer.add({.now = delta, .in_two_parts = delta});
    std::printf("\na DeltaNet layer, 2048 rows: %.1f ms", layer.now * 1e3);
    layer.print();
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::optional<Isa> isa;
  bool understood = true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "shared")
      shared_by = 1;
    else if (parse_isa(word))
      isa = parse_isa(word);
    else
      understood = (threads = std::atoi(argv[i])) > 0;
  }
  if (!understood) {
    std::fprintf(stderr, "usage: bench-prefill [threads] [amx|avx512|avx2|scalar] [shared]\n");
    return 2;
  }
  return run(threads, isa);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench-prefill: %s\n", error.what());
  return 1;
}
