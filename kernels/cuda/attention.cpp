// Cuts attention into launches, whose spans are merged in order.
#include "kernels/cuda/attention.hpp"

#include <algorithm>

namespace hearth::kernels::cuda {
namespace {

// Partial sums held at once, in values, and rows at a time: 8 MiB hold a span of 64 rows with 128
// heads of 256 dims.
constexpr std::int64_t partial_values = 1 << 21;
constexpr int max_rows = 64;

float* address(const Buffer& buffer) {
  return reinterpret_cast<float*>(Access::data(buffer));
}

}  // namespace

void AttentionLauncher::run(const Attention& args, const KvCache& kv) {
  require(args.heads >= 1 && args.heads % kv.heads == 0,
          "attention: query heads that do not divide among the KV heads");
  require(args.first_position >= 0 && args.first_position + args.rows <= kv.capacity,
          "attention: positions beyond the cache");
  require(kv.head_dim <= max_head_dim, "attention: a head of more than " +
                                           std::to_string(max_head_dim) +
                                           " dims cannot be computed on a CUDA device");
  for (int first = 0; first < args.rows; first += max_rows)
    run_rows(args, kv, first, std::min(max_rows, args.rows - first));
}

void AttentionLauncher::run_rows(const Attention& args, const KvCache& kv, int first, int rows) {
  const std::int64_t values = std::int64_t{args.rows} * args.heads * kv.head_dim;
  const std::int64_t offset = std::int64_t{first} * args.heads * kv.head_dim;
  const std::int64_t row_heads = std::int64_t{rows} * args.heads;
  const std::int64_t size = kv.head_dim + 2;
  const std::int64_t position = args.first_position + first;
  const std::int64_t spans = divide_up(position + rows, cpu::key_span);
  const std::int64_t batch =
      std::clamp<std::int64_t>(partial_values / (row_heads * size), 1, spans);
  // At once what longer sequences need: a token that crosses a span allocates nothing.
  grow(runtime_, partials_, std::max(partial_values, row_heads * size));
  grow(runtime_, totals_, row_heads * size);

  const cpu::Format format = cpu::format(kv.type);
  const auto heads = static_cast<unsigned>(args.heads);
  float* const out = operands_.at("attention: out", args.out, values) + offset;
  for (std::int64_t span = 0; span < spans; span += batch) {
    const std::int64_t count = std::min(batch, spans - span);
    runtime_.launch(
        kernels_.attention_span[format],
        {.x = heads, .y = static_cast<unsigned>(rows), .z = static_cast<unsigned>(count)},
        attention_threads,
        AttentionSpans{.q = operands_.at("attention: q", args.q, values) + offset,
                       .keys = Access::data(kv.keys),
                       .values = Access::data(kv.values),
                       .partials = address(partials_),
                       .first_position = position,
                       .first_span = span,
                       .rows = rows,
                       .heads = args.heads,
                       .kv_heads = kv.heads,
                       .head_dim = kv.head_dim,
                       .scale = args.scale});
    runtime_.launch(kernels_.attention_merge, {.x = static_cast<unsigned>(row_heads)},
                    attention_threads,
                    AttentionMerges{.partials = address(partials_),
                                    .totals = address(totals_),
                                    .out = out,
                                    .first_position = position,
                                    .first_span = span,
                                    .spans = static_cast<int>(count),
                                    .rows = rows,
                                    .heads = args.heads,
                                    .head_dim = kv.head_dim});
  }
}

void AttentionLauncher::grow(Runtime& runtime, Buffer& buffer, std::int64_t values) {
  const auto bytes = static_cast<std::size_t>(values) * sizeof(float);
  if (buffer.bytes() >= bytes) return;
  runtime.wait(runtime.record());
  buffer = runtime.allocate(bytes, MemoryKind::device);
}

}  // namespace hearth::kernels::cuda
