// The operations of the forward pass, as the engine sees them: handles to memory on some device,
// and a Backend that computes on them. Knows shapes and numbers, nothing of models.
//
// Only kernels/ dereferences a handle. Everything else allocates, windows, fills and reads it back
// through the Backend that made it, so a device's memory can stand behind the same names.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::kernels {

// A device that is missing, memory that cannot be had, a value a format cannot hold.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A device that has failed for good: what was in its memory is lost.
class LostDevice : public Error {
 public:
  using Error::Error;
};

// A device beside the host has no room for an allocation.
class DeviceFull : public std::bad_alloc {};

// The device that holds bytes and computes on them.
struct Device {
  enum class Kind : std::uint8_t { host, cuda };
  Kind kind = Kind::host;
  int index = 0;  // the device's number; 0 for the host
  bool operator==(const Device&) const = default;
};
std::string name(Device device);  // "host", "cuda 1"

enum class DType : std::uint8_t { f32, f16, bf16, f8_e4m3 };

// Bytes of one element.
constexpr std::size_t size_of(DType type) {
  switch (type) {
    case DType::f32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::f8_e4m3:
      return 1;
  }
  return 0;
}

// Where a Backend's allocation is to be.
enum class MemoryKind : std::uint8_t {
  device,       // where the Backend computes
  page_locked,  // in the host's memory, where copies to and from the device are fast; ordinary
                // memory where the system locks no more
};

// What had been queued on a device when a Backend handed it out. A default one has passed.
struct Event {
  std::uint64_t number = 0;
};

// A device's memory in bytes, as all programs have left it.
struct DeviceMemory {
  std::uint64_t free = 0;
  std::uint64_t total = 0;
};

struct Access;  // kernels/access.hpp: the way from a handle to its address, for kernels/ alone

// Owns bytes on a device, 64-byte aligned, zeroed when allocated. Move-only; freed on destruction.
class Buffer {
 public:
  Buffer() = default;
  Device device() const { return device_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return storage_ != nullptr; }

 private:
  friend struct Access;
  Device device_;
  std::size_t bytes_ = 0;
  std::unique_ptr<std::byte, void (*)(std::byte*)> storage_{nullptr, nullptr};
};

// A window on F32 values in a Buffer. Does not own; a copy is the same window.
class Slice {
 public:
  Slice() = default;
  Device device() const { return device_; }
  std::size_t size() const { return size_; }  // in values
  // Values [offset, offset + count). Throws Error outside the window.
  Slice sub(std::size_t offset, std::size_t count) const;

 private:
  friend struct Access;
  Device device_;
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

// What one scale of an f8_e4m3 matrix is for.
enum class ScaleForm : std::uint8_t {
  blocks,  // 128 × 128 weights: F32 [ceil(rows/128), ceil(cols/128)], row-major
  rows,    // a row: F32 [rows]
  whole,   // the matrix: F32 [1]
};
std::int64_t scale_count(ScaleForm form, std::int64_t rows, std::int64_t cols);

// A weight matrix [rows, cols], row-major, at a byte offset of a Buffer; does not own.
// f8_e4m3 needs scales, of one of the forms; w = fp8(w) · scale.
class Matrix {
 public:
  static constexpr std::int64_t block = 128;  // rows and columns of a scale's block

  Matrix() = default;
  Matrix(const Buffer& storage, std::size_t byte_offset, DType type, std::int64_t rows,
         std::int64_t cols, Slice scales = {}, ScaleForm scale_form = ScaleForm::blocks);
  Device device() const { return device_; }
  DType type() const { return type_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  friend struct Access;
  Device device_;
  const std::byte* data_ = nullptr;
  DType type_ = DType::f32;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  Slice scales_;
  ScaleForm scale_form_ = ScaleForm::blocks;
};

// Keys and values of one attention layer: two arrays [capacity, heads, head_dim] in f32 or f16.
// The caller keeps count of how many positions are valid.
struct KvCache {
  Buffer keys;
  Buffer values;
  DType type = DType::f32;
  std::int64_t capacity = 0;
  int heads = 0;
  int head_dim = 0;
};

// One output of split_groups: of every group `width` values go, group after group, to
// out[row * stride + offset + group * width].
struct SplitSpec {
  Slice out;
  std::int64_t width = 0;
  std::int64_t stride = 0;
  std::int64_t offset = 0;
};

// Values [rows][width] inside rows of `stride` values, the first at data[0].
struct Rows {
  Slice data;
  std::int64_t stride = 0;
};

// The gated delta rule over `rows` tokens. Value head h uses key head h / (value_heads/key_heads).
struct DeltaRule {
  int rows = 0;
  int key_heads = 0;
  int value_heads = 0;
  int key_dim = 0;
  int value_dim = 0;
  std::int64_t first_position = 0;  // of the first row in the sequence: decides chunk borders
  Rows q;                           // [rows][key_heads][key_dim], l2-normalised and scaled
  Rows k;                           // [rows][key_heads][key_dim], l2-normalised
  Rows v;                           // [rows][value_heads][value_dim]
  Slice g;                          // [rows][value_heads], log decay ≤ 0
  Slice beta;                       // [rows][value_heads]
  Slice state_in;                   // [value_heads][key_dim][value_dim]; may not overlap state_out
  Slice state_out;                  // the same shape
  Slice out;                        // [rows][value_heads][value_dim]
};

// Which of two definitions of the delta rule runs; they agree to rounding.
enum class DeltaForm : std::uint8_t {
  step,     // row by row: a row's bits do not depend on its neighbours (decode, verification)
  chunked,  // 64 positions at a time, chunks begin at multiples of 64 of the sequence (prefill)
};

// Grouped-query attention of `rows` new queries at positions first_position + r; each sees the
// cache's positions 0 … first_position + r, which must have been appended.
struct Attention {
  int rows = 0;
  int heads = 0;  // of the queries; a multiple of kv.heads
  std::int64_t first_position = 0;
  float scale = 1;
  Slice q;    // [rows][heads][head_dim]
  Slice out;  // the same shape
};

// One product: y[r] = w · x[r] for r in [0, rows); x is [rows][w.cols()], y [rows][w.rows()].
struct MatMul {
  Matrix w;
  Slice x;
  Slice y;
  int rows = 0;
};

// Which of two definitions a product follows. In both, a row's bits do not depend on its company.
enum class ProductForm : std::uint8_t {
  gemv,  // the 32 lanes of Backend's numeric definition: decode, verification of drafts
  gemm,  // that of the GEMMs (prefill), see numerics(); agrees to rounding
};

// An 8-bit copy of a matrix, from which the rows that can have the largest products are told
// without reading the matrix. Made by Backend::make_shortlist; a little more than a byte per
// weight.
struct Shortlist {
  Buffer codes;   // [rows][cols, rounded up to 64]
  Buffer bounds;  // per row what scales its codes and bounds their error
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::size_t bytes() const { return codes.bytes() + bounds.bytes(); }
  explicit operator bool() const { return rows > 0; }
};

// Rows of a matrix, rising, each once, and their exact products.
struct Candidates {
  std::vector<std::int32_t> ids;
  std::vector<float> scores;
};

// Computes. One thread at a time may call a Backend; it owns the threads or streams that work.
// On a device, operations are queued in order; finish() waits for them. What spans refer to may go
// when an operation returns, what handles refer to must stay until it has run. Arguments are
// handles of this Backend's device; a shape that does not fit is a programming error and throws
// Error. So does a device that fails, and the text names it.
//
// Numeric definition. Weights are widened exactly to F32, sums are F32. A dot product of n values
// keeps 32 partial sums, lane c%32, by fused multiply-add in rising order of c; for f8_e4m3 each
// 128-column block's 32 sums start at 0 and are added to the 32 totals as fma(sum, scale, total),
// where a row or the whole matrix has one scale, with that for every block;
// the 32 lanes are folded by halves (16, 8, 4, 2, 1). Beside f8_e4m3 an activation of 2^36 and
// more counts as infinite and one below 2^-89 as zero (table.hpp says why); scales must be less
// than 2^99. exp is one polynomial (kernels/numeric.hpp). So every ISA, every thread count and any
// company of rows gives the same bits. The GEMM form of the products has definitions of its own
// (kernels/cpu/gemm/gemm.hpp): one for amx, one for all other ISAs, and of each the same is true.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device device() const = 0;
  virtual std::string description() const = 0;  // for people: "CPU avx512, 2 threads"
  virtual int threads() const = 0;              // of the host that compute
  // The definitions that the bits of results follow, where there is a choice: "gemm f32". What
  // one Backend computed may be continued bit for bit only on one that says the same.
  virtual std::string numerics() const = 0;

  // Memory. allocate throws std::bad_alloc where there is no room, on a device DeviceFull. The
  // host's buffers of 4 MiB and more begin at a multiple of 2 MiB.
  virtual Buffer allocate(std::size_t bytes, MemoryKind kind) = 0;
  Buffer allocate(std::size_t bytes) { return allocate(bytes, MemoryKind::device); }
  // Of a device beside the host; empty: it does not say.
  virtual std::optional<DeviceMemory> memory() { return std::nullopt; }
  // Gives the memory of [byte_offset, byte_offset + bytes) of such a large buffer back, as far as
  // it is whole pages, and not locked; its content is lost, the buffer stays usable.
  virtual void discard(const Buffer& buffer, std::size_t byte_offset, std::size_t bytes) = 0;
  virtual void write(const Buffer& to, std::size_t byte_offset,
                     std::span<const std::byte> from) = 0;
  virtual void read(const Buffer& from, std::size_t byte_offset, std::span<std::byte> to) = 0;
  virtual void copy(const Buffer& from, std::size_t from_offset, Buffer& to, std::size_t to_offset,
                    std::size_t bytes) = 0;
  virtual void write(Slice to, std::span<const float> from) = 0;
  virtual void read(Slice from, std::span<float> to) = 0;
  // The bytes of a Buffer where this program can reach them, for a reader to fill: always those of
  // the host's memory, page-locked or not; empty elsewhere.
  virtual std::optional<std::span<std::byte>> map(const Buffer& buffer) = 0;

  // Copies between the host's memory and this device, or within one of them, queued like an
  // operation; no interrupt skips them. Both ends must stay until the event has passed.
  virtual Event transfer(const Buffer& from, std::size_t from_offset, const Buffer& to,
                         std::size_t to_offset, std::size_t bytes) = 0;
  virtual Event transfer(Slice from, Slice to) = 0;
  virtual Event queued() = 0;            // the end of all that is queued by now
  virtual bool passed(Event event) = 0;  // without waiting
  virtual void wait(Event event) = 0;

  // Interruption. After begin(flag), operations stop between pieces of at most about 5 ms once
  // *flag is true, leave their outputs undefined, and later ones return at once. finish() waits for
  // what is queued, forgets the flag, and returns whether everything ran to its end.
  virtual void begin(const std::atomic<bool>* interrupt) = 0;
  virtual bool finish() = 0;

  // out[r] = table[ids[r]] widened, [ids.size()][table.cols()].
  virtual void embed(const Matrix& table, std::span<const std::int32_t> ids, Slice out) = 0;
  // Products that do not depend on each other, handed to the threads together.
  virtual void matmul(std::span<const MatMul> products, ProductForm form) = 0;
  void matmul(const Matrix& w, Slice x, Slice y, int rows, ProductForm form = ProductForm::gemv) {
    const MatMul one{w, x, y, rows};
    matmul(std::span(&one, 1), form);
  }

  // A shortlist of w, which must have at most 65536 columns; shortlist_bytes says how large it will
  // be. Interrupted: an empty one.
  virtual Shortlist make_shortlist(const Matrix& w) = 0;
  static std::size_t shortlist_bytes(std::int64_t rows, std::int64_t cols);
  // For each of `rows` activation rows x [rows][w.cols()] the rows of w that may be among the k
  // largest of w · x: no other would be found by top_k on the whole product. Those in `always` are
  // there too. Scores have the bits of the GEMV. `shortlist` must be w's. Interrupted: no
  // candidates.
  virtual void shortlist_top(const Shortlist& shortlist, const Matrix& w, Slice x, int rows, int k,
                             std::span<const std::int32_t> always, std::span<Candidates> out) = 0;

  // Zero-centred: out = x · rsqrt(mean(x²)+eps) · (1 + weight). x may be out.
  virtual void rms_norm(Rows x, Slice weight, Rows out, int rows, int dim, float eps) = 0;
  // Plain and gated: out = weight · x · rsqrt(mean(x²)+eps) · silu(z), all [rows][dim], dense.
  virtual void gated_rms_norm(Slice x, Slice z, Slice weight, Slice out, int rows, int dim,
                              float eps) = 0;
  // In place, per group of `dim` values: x · rsqrt(Σx² + 1e-6) · scale.
  virtual void l2_norm(Rows x, int rows, int groups, int dim, float scale) = 0;
  // In place on [rows][heads][head_dim]: rotate-half on the first 2·half dims of each head with
  // cos, sin [rows][half].
  virtual void rope(Slice x, Slice cos, Slice sin, int rows, int heads, int head_dim, int half) = 0;
  // Causal depthwise convolution, then SiLU. x and out [rows][channels]; weight [channels][kernel];
  // history [kernel-1][channels] are the inputs before x, oldest first; history_out those after.
  virtual void conv_silu(Slice x, Slice weight, Slice history_in, Slice history_out, Slice out,
                         int rows, int channels, int kernel) = 0;
  // beta = sigmoid(b); g = -exp(a_log) · softplus(a + dt_bias). b, a, beta, g [rows][heads].
  virtual void delta_gates(Slice b, Slice a, Slice a_log, Slice dt_bias, Slice beta, Slice g,
                           int rows, int heads) = 0;
  virtual void delta_rule(const DeltaRule& args, DeltaForm form) = 0;

  // Writes rows [rows][heads][head_dim] at `position`. Throws Error when f16 cannot hold a value.
  virtual void kv_append(KvCache& kv, Slice k, Slice v, std::int64_t position, int rows) = 0;
  virtual void attention(const Attention& args, const KvCache& kv) = 0;

  virtual void silu_mul(Slice gate, Slice up, Slice out) = 0;    // silu(gate) · up
  virtual void sigmoid_mul(Slice gate, Slice x, Slice out) = 0;  // sigmoid(gate) · x
  virtual void add(Slice x, Slice y, Slice out) = 0;             // x + y
  // Cuts every row of in [rows][groups][Σ width] into the parts.
  virtual void split_groups(Slice in, int rows, int groups, std::span<const SplitSpec> parts) = 0;
  virtual void gather_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) = 0;
  virtual void scatter_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) = 0;
  // out[r] = (Σ_s weights[r][s] · y[r][s], slots in order) + sigmoid(shared_gate[r]) · shared[r]
  //          + residual[r]; y [rows][slots][dim]; shared, residual, out [rows][dim].
  virtual void combine_experts(Slice y, std::span<const float> weights, Slice shared,
                               Slice shared_gate, Slice residual, Slice out, int rows, int slots,
                               int dim) = 0;
  // In place over rows of dim.
  virtual void softmax(Slice x, int rows, int dim) = 0;
  // The k largest of each row by falling value, the lower index first among equals; to the host.
  virtual void top_k(Slice x, int rows, int dim, int k, std::span<std::int32_t> ids,
                     std::span<float> values) = 0;
};

// A window of a whole Buffer as F32.
Slice slice(const Buffer& buffer);
// A window of `count` values at a byte offset that is a multiple of 4.
Slice slice(const Buffer& buffer, std::size_t byte_offset, std::size_t count);

// Each with what those before it have. amx computes the GEMMs of BF16 and F8 in three
// parts of BF16 (kernels/cpu/gemm/gemm.hpp), everything else as avx512 does.
enum class Isa : std::uint8_t { scalar, avx2, avx512, amx };
std::string_view name(Isa isa);
std::optional<Isa> parse_isa(std::string_view name);
// What this processor and its operating system run; asks the kernel for the use of AMX.
bool host_has(Isa isa);

// What open_cpu chose, for logs and status.
struct CpuChoice {
  Isa isa = Isa::scalar;
  std::string gemm;                // the GEMMs' table: "avx512 f32"
  std::vector<std::string> notes;  // e.g. "avx512: rms_norm differs from the scalar definition"
};

// The CPU. `forced` (or the environment's HEARTH_ISA, which wins over the default but not over
// `forced`) names one ISA; otherwise the best that this host has and that passes the self-check.
// threads: compute threads, the calling one included; 0 means one per core.
std::unique_ptr<Backend> open_cpu(int threads, std::optional<Isa> forced, CpuChoice& choice);

// Device n, or Error with the reason.
std::unique_ptr<Backend> open_cuda(int index);

struct CudaDevice {
  std::string name;        // "NVIDIA GeForce RTX 3070 Ti"
  std::string capability;  // "8.6"
  std::uint64_t memory = 0;
  bool shares_memory = false;  // with the host
  std::string address;         // on the PCI bus: "0000:01:00.0"
};
// The CUDA devices that this program can open, which are numbered from 0.
struct CudaDevices {
  bool built = false;  // whether it was built with CUDA
  int count = 0;
  std::string missing;              // why there are none: "this hearth was built without CUDA"
  std::string needed_driver;        // the oldest version that runs this build; "": without CUDA
  std::vector<CudaDevice> devices;  // `count` of them
};
CudaDevices cuda_devices();

}  // namespace hearth::kernels
