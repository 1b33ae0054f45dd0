// Divides attention into pieces of work and merges its spans.
#include "kernels/cpu/attention.hpp"

#include <algorithm>
#include <limits>

#include "kernels/cpu/operands.hpp"

namespace hearth::kernels::cpu {
namespace {

// Partial sums held at once, in values.
constexpr std::int64_t partial_values = 1 << 20;
// Heads and rows for every thread that make it worth cutting by rows; and the rows of a piece.
constexpr std::int64_t many_items = 16;
constexpr std::int64_t shared_rows = 32;

}  // namespace

struct GroupedAttention::Call {
  const Attention& args;
  const KvCache& kv;
  const float* q;
  std::int64_t rows = args.rows;
  std::int64_t heads = args.heads;
  std::int64_t group = args.heads / kv.heads;  // query heads of a KV head
  std::int64_t row_heads = rows * heads;
  std::int64_t size = kv.head_dim + 2;  // of a partial, see AttentionMerge
  std::int64_t spans = divide_up(args.first_position + rows, key_span);
  // Multiply-adds of one row's query heads of one KV head on one span.
  std::int64_t span_work = std::int64_t{2} * key_span * group * kv.head_dim;

  // Spans of a row that begin after its own position are not part of it.
  bool sees(std::int64_t row, std::int64_t span) const {
    return span * key_span <= args.first_position + row;
  }
};

void GroupedAttention::run(const Attention& args, const KvCache& kv) {
  require(args.heads >= 1 && args.heads % kv.heads == 0,
          "attention: query heads that do not divide among the KV heads");
  require(args.first_position >= 0 && args.first_position + args.rows <= kv.capacity,
          "attention: positions beyond the cache");
  const std::int64_t values = std::int64_t{args.rows} * args.heads * kv.head_dim;
  const Call call{args, kv, at("attention: q", args.q, values)};
  float* const out = at("attention: out", args.out, values);

  totals_.assign(static_cast<std::size_t>(call.row_heads * call.size), 0.0f);
  for (std::int64_t i = 0; i < call.row_heads; ++i)
    totals_[static_cast<std::size_t>(i * call.size + kv.head_dim)] =
        -std::numeric_limits<float>::infinity();
  if (call.rows * kv.heads >= many_items * pool_.threads())
    attend_by_rows(call);
  else
    attend_by_spans(call);
  divide(call, out);
}

// A piece is one KV head of some neighbouring rows on some neighbouring spans. Its rows share every
// span while the core's cache holds it, and its sums are nobody else's.
void GroupedAttention::attend_by_rows(const Call& call) {
  const std::int64_t even = call.rows * call.kv.heads / (many_items / 2 * pool_.threads());
  const std::int64_t block = std::min(shared_rows, even);
  const std::int64_t blocks = divide_up(call.rows, block);
  const std::int64_t pieces = call.kv.heads * blocks;
  const std::int64_t batch = std::max<std::int64_t>(1, dense_work_ / (block * call.span_work));
  partials_.resize(static_cast<std::size_t>(pieces * call.group * call.size));
  for (std::int64_t first = 0; first < call.spans; first += batch) {
    const std::int64_t end = std::min(call.spans, first + batch);
    pool_.run(pieces, [&](std::int64_t piece) {
      const std::int64_t kv_head = piece / blocks;
      const std::int64_t begin_row = piece % blocks * block;
      const std::int64_t end_row = std::min(call.rows, begin_row + block);
      float* const partials = partials_.data() + piece * call.group * call.size;
      for (std::int64_t span = first; span < end; ++span)
        for (std::int64_t row = begin_row; row < end_row; ++row) {
          if (!call.sees(row, span)) continue;
          attend(call, row, kv_head, span, partials);
          for (std::int64_t h = 0; h < call.group; ++h)
            merge(call, row * call.heads + kv_head * call.group + h, partials + h * call.size);
        }
    });
  }
}

// A piece is some spans of rows, and their partial sums are merged when all are there.
void GroupedAttention::attend_by_spans(const Call& call) {
  const std::int64_t span_values = call.row_heads * call.size;
  const std::int64_t batch = std::clamp<std::int64_t>(partial_values / span_values, 1, call.spans);
  partials_.resize(static_cast<std::size_t>(batch * span_values));
  for (std::int64_t first = 0; first < call.spans; first += batch) {
    const std::int64_t count = std::min(batch, call.spans - first);
    const std::int64_t items = count * call.kv.heads * call.rows;
    const std::int64_t per_piece = share(items, call.span_work, piece_work_, pool_.threads());
    pool_.run(divide_up(items, per_piece), [&](std::int64_t piece) {
      const std::int64_t end = std::min(items, (piece + 1) * per_piece);
      for (std::int64_t i = piece * per_piece; i < end; ++i) {  // (span, KV head, row)
        const std::int64_t row = i % call.rows;
        const std::int64_t kv_head = i / call.rows % call.kv.heads;
        const std::int64_t slot = i / call.rows / call.kv.heads;
        const std::int64_t head = row * call.heads + kv_head * call.group;
        if (call.sees(row, first + slot))
          attend(call, row, kv_head, first + slot,
                 partials_.data() + (slot * call.row_heads + head) * call.size);
      }
    });
    const std::int64_t heads_per_piece =
        share(call.row_heads, count * call.size, piece_work_, pool_.threads());
    pool_.run(divide_up(call.row_heads, heads_per_piece), [&](std::int64_t piece) {
      const std::int64_t end = std::min(call.row_heads, (piece + 1) * heads_per_piece);
      for (std::int64_t i = piece * heads_per_piece; i < end; ++i)
        for (std::int64_t slot = 0; slot < count && call.sees(i / call.heads, first + slot); ++slot)
          merge(call, i, partials_.data() + (slot * call.row_heads + i) * call.size);
    });
  }
}

// The partials of one row's query heads of one KV head on one span, [group][head_dim + 2].
void GroupedAttention::attend(const Call& call, std::int64_t row, std::int64_t kv_head,
                              std::int64_t span, float* partials) const {
  const KvCache& kv = call.kv;
  const std::int64_t begin = span * key_span;
  const std::int64_t stride = std::int64_t{kv.heads} * kv.head_dim;
  const auto offset =
      static_cast<std::size_t>(begin * stride + kv_head * kv.head_dim) * size_of(kv.type);
  const std::int64_t visible = call.args.first_position + row + 1 - begin;
  table_.attention_span[format(kv.type)](
      {.heads = static_cast<int>(call.group),
       .head_dim = kv.head_dim,
       .count = static_cast<int>(std::min<std::int64_t>(key_span, visible)),
       .scale = call.args.scale,
       .q = call.q + (row * call.heads + kv_head * call.group) * kv.head_dim,
       .keys = Access::data(kv.keys) + offset,
       .values = Access::data(kv.values) + offset,
       .kv_stride = stride,
       .partial = partials});
}

void GroupedAttention::merge(const Call& call, std::int64_t row_head, const float* partial) {
  table_.attention_merge({.head_dim = call.kv.head_dim,
                          .total = totals_.data() + row_head * call.size,
                          .partial = partial});
}

void GroupedAttention::divide(const Call& call, float* out) {
  const std::int64_t dim = call.kv.head_dim;
  const std::int64_t per_piece = share(call.row_heads, 4 * dim, piece_work_, pool_.threads());
  pool_.run(divide_up(call.row_heads, per_piece), [&](std::int64_t piece) {
    const std::int64_t end = std::min(call.row_heads, (piece + 1) * per_piece);
    for (std::int64_t i = piece * per_piece; i < end; ++i) {
      const float* const total = totals_.data() + i * call.size;
      for (std::int64_t d = 0; d < dim; ++d) out[i * dim + d] = total[d] / total[dim + 1];
    }
  });
}

}  // namespace hearth::kernels::cpu
