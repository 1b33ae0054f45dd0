// How fast the products read their weights, beside how fast this machine reads memory at all:
//   bench-kernels [threads] [--isa NAME] [--beside-busy | --shortlist]
// B is the best of several ways to read with as many threads from the same kind of memory, measured
// in turns with each product. Weights are copies enough that no cache holds them, distributed as a
// model's are: F8 as blocks of normally distributed values with a scale each. How many of its codes
// are subnormal is printed, since there are processors that stop for each; further rows have more
// of them, on AVX2 in both forms of its product (kernels/cpu/rows/f8_choice.hpp). --beside-busy
// runs a layer's products of decoding alone, then beside a thread that computes without end;
// --shortlist the published lm_head, whole and through the shortlist.
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/rows/f8_choice.hpp"
#include "kernels/measure.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"
#include "tests/bench/model_codes.hpp"

namespace {

using namespace hearth::kernels;
using hearth::bench::model_codes;
using hearth::bench::Normal;
using hearth::bench::subnormal;
using Clock = std::chrono::steady_clock;

constexpr std::size_t working_set = std::size_t{256} << 20;
constexpr int samples = 7;
constexpr double sample_seconds = 0.03;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Speed {
  double best = 0;  // GB/s
  double median = 0;
};

// GB/s of one sample: calls of work(), each of so many bytes.
template <class Work>
double sample(std::size_t bytes, const Work& work) {
  const auto begin = Clock::now();
  int calls = 0;
  double seconds = 0;
  while (seconds < sample_seconds) {
    work();
    ++calls;
    seconds = seconds_since(begin);
  }
  return static_cast<double>(bytes) * calls / seconds * 1e-9;
}

Speed summary(std::vector<double> speeds) {
  std::sort(speeds.begin(), speeds.end());
  return {.best = speeds.back(), .median = speeds[speeds.size() / 2]};
}

// --- Reading -------------------------------------------------------------------------------------

// Reads memory in all ways; a machine's bandwidth changes with what its neighbours do, so that
// products are measured in turns with it.
class Reading {
 public:
  Reading(Backend& backend, int threads) : buffer_(backend.allocate(working_set)), pool_(threads) {
    memory_ = backend.map(buffer_).value();
    std::fill(memory_.begin(), memory_.end(), std::byte{1});
  }

  // Prints every way and keeps the best two for now().
  void print_all() {
    std::printf("reading with %d thread%s\n", pool_.threads(), pool_.threads() == 1 ? "" : "s");
    std::vector<std::pair<double, const ReadingWay*>> ways;
    for (const ReadingWay& reader : reading_ways()) {
      if (!host_has(reader.isa)) continue;
      std::vector<double> speeds;
      for (int i = 0; i < samples; ++i) speeds.push_back(read(reader));
      const Speed speed = summary(speeds);
      std::printf("  %-32s best %5.1f  median %5.1f GB/s\n", reader.name, speed.best, speed.median);
      ways.push_back({speed.best, &reader});
    }
    std::sort(ways.rbegin(), ways.rend());
    for (std::size_t i = 0; i < best_.size() && i < ways.size(); ++i) best_[i] = ways[i].second;
  }

  // One sample of the best way.
  double now() {
    const ReadingWay* const way = best_[turn_++ % best_.size()];
    return way == nullptr ? 0 : read(*way);
  }

 private:
  double read(const ReadingWay& reader) {
    constexpr std::size_t piece = std::size_t{256} << 10;
    return sample(working_set, [&] {
      pool_.run(working_set / piece, [&](std::int64_t i) {
        sum_ += reader.read(memory_.data() + static_cast<std::size_t>(i) * piece, piece);
      });
    });
  }

  Buffer buffer_;
  std::span<std::byte> memory_;
  Pool pool_;
  std::atomic<std::uint64_t> sum_ = 0;
  std::array<const ReadingWay*, 2> best_ = {};
  std::size_t turn_ = 0;
};

// --- Products ------------------------------------------------------------------------------------

const char* name(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::f8_e4m3:
      return "f8_e4m3";
  }
  return "";
}

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

// Copies of one matrix, cold in the caches when their turn comes, and room for x and y.
class Weights {
 public:
  // `offset`: bytes from a multiple of 64 to the first matrix. `share`: as in model_codes.
  Weights(Backend& backend, DType type, Shape shape, std::size_t offset = 0, double share = -1,
          ScaleForm scale_form = ScaleForm::blocks)
      : type_(type), shape_(shape), scale_form_(scale_form), offset_(offset) {
    copies_ = std::max<std::size_t>(1, working_set / bytes());
    codes_ = backend.allocate(copies_ * bytes() + offset_);
    const std::vector<std::byte> codes = model_codes(type, share);
    if (type == DType::f8_e4m3)
      subnormal_ = static_cast<double>(std::count_if(codes.begin(), codes.end(), subnormal)) /
                   static_cast<double>(codes.size());
    const std::span<std::byte> all = backend.map(codes_).value().subspan(offset);
    for (std::size_t at = 0; at < all.size(); at += codes.size())
      std::memcpy(all.data() + at, codes.data(), std::min(codes.size(), all.size() - at));
    const auto scales = static_cast<std::size_t>(scale_count(scale_form, shape.rows, shape.cols));
    scales_ = backend.allocate(scales * sizeof(float));
    backend.write(slice(scales_), std::vector<float>(scales_.bytes() / sizeof(float), 0.5f));
  }

  std::size_t bytes() const {
    return static_cast<std::size_t>(shape_.rows * shape_.cols) * size_of(type_);
  }
  double subnormal_share() const { return subnormal_; }  // of F8 codes
  Matrix next() {
    const std::size_t at = offset_ + turn_++ % copies_ * bytes();
    const Slice scales = type_ == DType::f8_e4m3 ? slice(scales_) : Slice{};
    return {codes_, at, type_, shape_.rows, shape_.cols, scales, scale_form_};
  }

 private:
  DType type_;
  Shape shape_;
  ScaleForm scale_form_;
  std::size_t offset_;
  double subnormal_ = 0;
  std::size_t copies_ = 0;
  std::size_t turn_ = 0;
  Buffer codes_;
  Buffer scales_;
};

Buffer values(Backend& backend, std::int64_t count) {
  Buffer result = backend.allocate(static_cast<std::size_t>(count) * sizeof(float));
  std::vector<float> some(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < some.size(); ++i) some[i] = static_cast<float>(i % 31) * 0.06f - 0.9f;
  backend.write(slice(result), some);
  return result;
}

struct Case {
  DType type;
  Shape shape;
  int rows = 1;   // of activations
  int group = 1;  // products in one call
  std::size_t offset = 0;
  double subnormal = -1;  // share of F8's codes; negative: as a model's are
  ScaleForm scale_form = ScaleForm::blocks;
};

struct Measured {
  double subnormal;
  Speed product;
  Speed reading;  // B, in turns with it
};

Measured measure(Backend& backend, const Case& c, Reading& reading) {
  Weights weights(backend, c.type, c.shape, c.offset, c.subnormal, c.scale_form);
  const Buffer x = values(backend, c.rows * c.shape.cols);
  const Buffer y = values(backend, c.rows * c.shape.rows * c.group);
  const auto size = static_cast<std::size_t>(c.rows * c.shape.rows);
  std::vector<MatMul> group(static_cast<std::size_t>(c.group));
  std::vector<double> products, reads;
  for (int i = 0; i < samples; ++i) {
    reads.push_back(reading.now());
    products.push_back(sample(weights.bytes() * group.size(), [&] {
      for (std::size_t k = 0; k < group.size(); ++k)
        group[k] = {weights.next(), slice(x), slice(y).sub(k * size, size), c.rows};
      backend.matmul(group, ProductForm::gemv);
    }));
  }
  return {.subnormal = weights.subnormal_share(),
          .product = summary(products),
          .reading = summary(reads)};
}

std::vector<Case> subnormal_cases() {
  std::vector<Case> result;
  for (const int rows : {1, 4})
    for (const double share : {0.0, 1e-4, 1e-3, 1e-2})
      result.push_back(
          {.type = DType::f8_e4m3, .shape = {8192, 2048}, .rows = rows, .subnormal = share});
  return result;
}

std::vector<Case> cases(Isa isa) {
  constexpr Shape square = {2048, 2048};
  if (isa == Isa::scalar) return {{DType::f8_e4m3, {512, 2048}}, {DType::bf16, {512, 2048}}};
  std::vector<Case> result;
  for (const DType type : {DType::f8_e4m3, DType::bf16})
    for (const Shape shape : {Shape{512, 2048}, Shape{2048, 512}, Shape{12288, 2048},
                              Shape{8192, 2048}, Shape{2048, 4096}})
      result.push_back({type, shape});
  result.push_back({DType::bf16, {151936, 2048}});
  result.push_back({DType::f16, square});
  result.push_back({DType::f32, square});
  for (const DType type : {DType::f8_e4m3, DType::bf16}) {
    result.push_back({.type = type, .shape = {8192, 2048}, .offset = 8});
    for (const int rows : {2, 4, 5, 8})
      result.push_back({.type = type, .shape = {8192, 2048}, .rows = rows});
  }
  // What a decoded token asks of ten experts: gate and up in one call, down in another.
  result.push_back({.type = DType::f8_e4m3, .shape = {512, 2048}, .group = 20});
  result.push_back({.type = DType::f8_e4m3, .shape = {512, 2048}, .group = 20, .offset = 8});
  result.push_back({.type = DType::f8_e4m3, .shape = {2048, 512}, .group = 10});
  // A scale a row, each behind the same with scales of blocks.
  for (const Shape shape : {Shape{512, 2048}, Shape{2048, 512}})
    for (const int rows : {1, 4})
      for (const ScaleForm form : {ScaleForm::blocks, ScaleForm::rows})
        result.push_back({.type = DType::f8_e4m3,
                          .shape = shape,
                          .rows = rows,
                          .group = 20,
                          .scale_form = form});
  for (const Case& c : subnormal_cases()) result.push_back(c);
  return result;
}

void print_cases(Backend& backend, const std::vector<Case>& all, Reading& reading) {
  for (const Case& c : all) {
    const Measured m = measure(backend, c, reading);
    std::printf("  %-8s %6ld x %-5ld %d row%s", name(c.type), static_cast<long>(c.shape.rows),
                static_cast<long>(c.shape.cols), c.rows, c.rows == 1 ? " " : "s");
    std::printf("  group of %-2d  offset %zu  best %5.1f  median %5.1f GB/s", c.group, c.offset,
                m.product.best, m.product.median);
    std::printf("  B best %5.1f  median %5.1f  share %3.0f, %3.0f %%", m.reading.best,
                m.reading.median, 100 * m.product.best / m.reading.best,
                100 * m.product.median / m.reading.median);
    if (c.scale_form == ScaleForm::rows) std::printf("  a scale a row");
    if (c.type == DType::f8_e4m3) std::printf("  subnormal %5.3f %%", 100 * m.subnormal);
    std::printf("\n");
  }
}

// Both forms of AVX2's F8 product, beside each other.
void print_f8_forms(int threads, Reading& reading) {
  const cpu::F8Times times = cpu::time_f8(cpu::avx2_table);
  std::printf("AVX2's F8 product: 0.1 %% of subnormal codes cost %.0f %% in the cache, so it %s\n",
              100 * (times.with / times.without - 1),
              cpu::subnormals_are_dear(times) ? "goes through F16" : "takes them as they are");
  const cpu::GemmChoice gemm{&cpu::avx2_gemm, "f32", "avx2 f32"};
  const auto print = [&](const char* name, const cpu::Table& table) {
    std::printf("%s\n", name);
    print_cases(*cpu::make_backend(table, gemm, 1 << 21, threads, name), subnormal_cases(),
                reading);
  };
  print("codes as subnormal numbers", cpu::avx2_table);
  print("codes through F16", cpu::avx2_f16_table);
}

void print_products(Isa isa, int threads, Reading& reading) {
  CpuChoice choice;
  const std::unique_ptr<Backend> backend = open_cpu(threads, isa, choice);
  std::printf("%s\n", backend->description().c_str());
  for (const std::string& note : choice.notes) std::printf("note: %s\n", note.c_str());
  print_cases(*backend, cases(isa), reading);
  if (isa == Isa::avx2) print_f8_forms(threads, reading);
}

// --- Beside a busy thread ------------------------------------------------------------------------

// The products of one layer of the published model while it decodes one token, and two of the small
// operations between them.
class Layer {
 public:
  explicit Layer(Backend& backend)
      : backend_(backend),
        in_(backend, DType::f8_e4m3, {12288, 2048}),
        out_(backend, DType::f8_e4m3, {2048, 4096}),
        up_(backend, DType::f8_e4m3, {512, 2048}),
        down_(backend, DType::f8_e4m3, {2048, 512}),
        x_(values(backend, 4096)),
        y_(values(backend, 20480)) {}

  void run() {
    const Slice x = slice(x_), y = slice(y_);
    backend_.matmul(in_.next(), x, y, 1);
    backend_.matmul(out_.next(), x, y, 1);
    std::vector<MatMul> group;
    for (std::size_t i = 0; i < 20; ++i) group.push_back({up_.next(), x, y.sub(512 * i, 512), 1});
    backend_.matmul(group, ProductForm::gemv);
    backend_.silu_mul(y.sub(0, 5120), y.sub(5120, 5120), y.sub(10240, 5120));
    group.clear();
    for (std::size_t i = 0; i < 10; ++i)
      group.push_back({down_.next(), x.sub(0, 512), y.sub(2048 * i, 2048), 1});
    backend_.matmul(group, ProductForm::gemv);
    backend_.add(x.sub(0, 2048), x.sub(2048, 2048), y.sub(0, 2048));
  }

 private:
  Backend& backend_;
  Weights in_, out_, up_, down_;
  Buffer x_, y_;
};

// Layers a second over a second and a half.
double layers_per_second(Layer& layer) {
  const auto begin = Clock::now();
  int layers = 0;
  double seconds = 0;
  while (seconds < 1.5) {
    layer.run();
    ++layers;
    seconds = seconds_since(begin);
  }
  return layers / seconds;
}

void print_beside_busy(Isa isa, int threads) {
  CpuChoice choice;
  const std::unique_ptr<Backend> backend = open_cpu(threads, isa, choice);
  std::printf("%s, layers/s alone, beside a busy thread, beside one bound to the last core\n",
              backend->description().c_str());
  Layer layer(*backend);
  layers_per_second(layer);
  for (int round = 0; round < 3; ++round) {
    const double alone = layers_per_second(layer);
    double beside[2] = {};
    for (const bool bound : {false, true}) {
      std::atomic<bool> done = false;
      std::thread busy([&] {
        if (bound) {
          cpu_set_t set;
          CPU_ZERO(&set);
          CPU_SET(std::thread::hardware_concurrency() - 1, &set);
          sched_setaffinity(0, sizeof set, &set);
        }
        while (!done.load(std::memory_order_relaxed)) {
        }
      });
      beside[bound ? 1 : 0] = layers_per_second(layer);
      done = true;
      busy.join();
    }
    std::printf("  %6.0f  %6.0f (%2.0f %%)  %6.0f (%2.0f %%)\n", alone, beside[0],
                100 * beside[0] / alone, beside[1], 100 * beside[1] / alone);
  }
}

// --- Shortlist -----------------------------------------------------------------------------------

// Of weights and activations with a normal distribution.
void print_shortlist(Isa isa, int threads) {
  constexpr Shape shape = {151936, 2048};
  CpuChoice choice;
  const std::unique_ptr<Backend> backend = open_cpu(threads, isa, choice);
  Normal normal;
  const auto next = [&] { return normal.next(); };
  const Buffer codes = backend->allocate(static_cast<std::size_t>(shape.rows * shape.cols) * 2);
  const std::span<std::byte> bytes = backend->map(codes).value();
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const float value = next();
    std::memcpy(bytes.data() + i, reinterpret_cast<const char*>(&value) + 2, 2);
  }
  const Matrix w(codes, 0, DType::bf16, shape.rows, shape.cols);
  constexpr int max_rows = 8;
  const Buffer x = backend->allocate(max_rows * shape.cols * sizeof(float));
  std::vector<float> activations(static_cast<std::size_t>(max_rows * shape.cols));
  for (float& value : activations) value = next();
  backend->write(slice(x), activations);
  const Buffer y = backend->allocate(shape.rows * sizeof(float));

  const auto begin = Clock::now();
  const Shortlist shortlist = backend->make_shortlist(w);
  std::printf("%s: a shortlist of %ld x %ld in %.2f s, %.0f MB beside %.0f\n",
              backend->description().c_str(), static_cast<long>(shape.rows),
              static_cast<long>(shape.cols), seconds_since(begin),
              static_cast<double>(shortlist.bytes()) * 1e-6,
              static_cast<double>(codes.bytes()) * 1e-6);
  const auto milliseconds = [](const auto& work) {
    std::vector<double> all;
    for (int i = 0; i < 15; ++i) {
      const auto start = Clock::now();
      work();
      all.push_back(seconds_since(start) * 1e3);
    }
    std::sort(all.begin(), all.end());
    return std::pair(all.front(), all[all.size() / 2]);
  };
  const auto whole = milliseconds([&] { backend->matmul(w, slice(x), slice(y), 1); });
  std::printf("  whole           best %6.2f  median %6.2f ms\n", whole.first, whole.second);
  const auto print = [&](int rows, int k) {
    std::vector<Candidates> out(static_cast<std::size_t>(rows));
    const auto some =
        milliseconds([&] { backend->shortlist_top(shortlist, w, slice(x), rows, k, {}, out); });
    std::printf(
        "  %d shortlisted, k %-3d best %6.2f  median %6.2f ms  %4.1f GB/s  %zu candidates\n", rows,
        k, some.first, some.second, static_cast<double>(shortlist.bytes()) * 1e-6 / some.first,
        out[0].ids.size());
  };
  for (const int k : {1, 20, 64}) print(1, k);
  for (const int rows : {2, 5, max_rows}) print(rows, 1);
}

int usage() {
  std::fprintf(stderr,
               "usage: bench-kernels [threads] [--isa NAME] [--beside-busy | --shortlist]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) try {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::optional<Isa> only;
  bool beside_busy = false, shortlist = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--beside-busy") {
      beside_busy = true;
    } else if (argument == "--shortlist") {
      shortlist = true;
    } else if (argument == "--isa" && i + 1 < argc) {
      only = parse_isa(argv[++i]);
      if (!only) return usage();
    } else {
      threads = std::atoi(argv[i]);
      if (threads < 1) return usage();
    }
  }
  CpuChoice choice;
  const std::unique_ptr<Backend> memory = open_cpu(1, {}, choice);
  Reading reading(*memory, threads);
  const bool products = !beside_busy && !shortlist;
  if (products) reading.print_all();
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (only && *only != isa) continue;
    if (!host_has(isa))
      std::printf("%s skipped: this processor does not have it\n",
                  hearth::kernels::name(isa).data());
    else if (products)
      print_products(isa, threads, reading);
    else if (isa != Isa::scalar)
      shortlist ? print_shortlist(isa, threads) : print_beside_busy(isa, threads);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench-kernels: %s\n", error.what());
  return 1;
}
