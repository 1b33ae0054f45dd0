// What each kernel is given, and how many threads of it work on what: plain values, so that both
// the host's compiler and nvcc read them. Shapes are checked already. All pointers are to the
// device's memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cuda {

using cpu::Weights;

constexpr int plain_threads = 256;  // of the kernels with a thread for each value
constexpr int norm_threads = 128;   // of those with a warp for each row

// The products of a few rows: threads of a block, of a weight row; weight rows of a block; rows of
// x that it may take at a time.
constexpr int gemv_threads = 256;
constexpr int gemv_parts = 8;
constexpr int gemv_out = gemv_threads / gemv_parts;
constexpr int gemv_rows[] = {1, 2, 4};
// Those of many rows: threads of a block; weight rows and rows of x of its tile of results.
constexpr int gemm_threads = 256;
constexpr int gemm_side = 64;

// Products that do not depend on each other, in one launch: y[r] = w · x[r].
struct Product {
  Weights w;
  std::int64_t out = 0;  // rows of w
  const float* x = nullptr;
  float* y = nullptr;
  int rows = 0;          // of x
  unsigned first = 0;    // the first of its blocks of threads
  bool aligned = false;  // for gemm: each weight's address is a multiple of its size
};
struct Products {
  static constexpr int max = 32;
  int count = 0;
  Product product[max] = {};
};

// Numbers that the host has and a kernel needs, in place of a copy.
struct Indices {
  static constexpr int max = 512;
  std::int32_t index[max] = {};
};
struct Embedding {
  Weights w;
  float* out = nullptr;
  Indices ids = {};
};
struct MoveRows {
  const float* from = nullptr;
  float* to = nullptr;
  int dim = 0;
  Indices rows = {};  // of the source or of the target
};

struct Norm {  // of `groups` · `rows` pieces of `dim` values
  const float* x = nullptr;
  const float* z = nullptr;
  const float* weight = nullptr;
  float* out = nullptr;
  std::int64_t x_stride = 0;
  std::int64_t out_stride = 0;
  std::int64_t rows = 0;
  int groups = 1;
  int dim = 0;
  float number = 0;  // eps, or the scale
};

struct Rope {
  float* x = nullptr;
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::int64_t rows = 0;
  int heads = 0;
  int head_dim = 0;
  int half = 0;
};

struct Elementwise {
  const float* a = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  std::int64_t count = 0;
};

struct DeltaGates {
  const float* b = nullptr;
  const float* a = nullptr;
  const float* a_log = nullptr;
  const float* dt_bias = nullptr;
  float* beta = nullptr;
  float* g = nullptr;
  std::int64_t count = 0;  // rows · heads
  int heads = 0;
};

constexpr int delta_threads = cpu::delta_columns;  // each has a value column
// Where all states of a column fit a thread's registers.
constexpr int usual_key_dim = 128;
// Key dim at most.
constexpr int max_key_dim = 256;
struct DeltaHeads {
  cpu::DeltaHead first;  // of head 0, with `columns` those of a head
  int heads_per_key = 1;
};

constexpr int attention_threads = 256;
// Dims of an attention head at most.
constexpr int max_head_dim = 512;
struct KvAppend {
  const float* k = nullptr;
  const float* v = nullptr;
  void* keys = nullptr;
  void* values = nullptr;
  std::int64_t count = 0;
  std::uint32_t* unfit = nullptr;  // set where F16 cannot hold a value
};
struct AttentionSpans {
  const float* q = nullptr;  // [rows][heads][head_dim]
  const void* keys = nullptr;
  const void* values = nullptr;
  float* partials = nullptr;  // [spans][rows · heads][head_dim + 2], see cpu::AttentionMerge
  std::int64_t first_position = 0;
  std::int64_t first_span = 0;
  int rows = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 1;
};
struct AttentionMerges {
  const float* partials = nullptr;
  float* totals = nullptr;  // [rows · heads][head_dim + 2]
  float* out = nullptr;
  std::int64_t first_position = 0;
  std::int64_t first_span = 0;
  int spans = 0;
  int rows = 0;
  int heads = 0;
  int head_dim = 0;
};

struct Softmax {
  float* x = nullptr;
  std::int64_t rows = 0;
  int dim = 0;
};
struct TopK {
  const float* x = nullptr;
  std::int32_t* ids = nullptr;
  float* values = nullptr;
  std::int64_t rows = 0;
  int dim = 0;
  int k = 0;
};

struct Combine {
  static constexpr int max = 512;  // rows · slots
  const float* y = nullptr;
  const float* shared = nullptr;
  const float* shared_gate = nullptr;
  const float* residual = nullptr;
  float* out = nullptr;
  int rows = 0;
  int slots = 0;
  int dim = 0;
  float weights[max] = {};
};

struct Split {
  static constexpr int max = 8;
  struct Part {
    float* out = nullptr;
    std::int64_t width = 0;
    std::int64_t stride = 0;
  };
  const float* in = nullptr;
  std::int64_t rows = 0;
  std::int64_t groups = 0;
  std::int64_t width = 0;  // of a group: of all parts
  int parts = 0;
  Part part[max] = {};
};

}  // namespace hearth::kernels::cuda
