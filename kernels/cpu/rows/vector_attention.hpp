// Attention of the vector table. Part of vector.hpp, which includes it behind vector_tiles.hpp;
// what is said there holds here.

namespace hearth::kernels::cpu {
namespace {

// Query heads that share the loads of keys and values.
constexpr int heads_together = 8;
// Those of one tile.
constexpr int tile_heads = 2 * dot_rows;

// The state of up to heads_together heads of a span.
struct Heads {
  int count = 0;
  const float* q = nullptr;  // [count][head_dim]
  float* partial = nullptr;  // [count][head_dim + 2]
  float scores[heads_together][key_block];
  float top[heads_together];
  float weight[heads_together];
  float fade[heads_together];
};

inline const char* position(const AttentionSpan& a, const void* base, Index position, int size) {
  return static_cast<const char*>(base) + position * a.kv_stride * size;
}

// Scores of the keys [begin, begin + count), not yet scaled.
template <class Format>
inline void score(const AttentionSpan& a, Heads& heads, Index begin, Index count) {
  for (Index j = 0; j < count; j += 4) {
    const char* keys[4];
    for (Index i = 0; i < 4; ++i)
      keys[i] = position(a, a.keys, begin + (j + i < count ? j + i : count - 1), Format::size);
    for (int h = 0; h < heads.count; h += dot_rows) {
      const float* q[dot_rows];
      for (int r = 0; r < dot_rows; ++r)
        q[r] = heads.q + (h + r < heads.count ? h + r : heads.count - 1) * a.head_dim;
      float results[dot_rows][4];
      dots<Format>(q, keys, a.head_dim, results);
      for (int r = 0; r < dot_rows && h + r < heads.count; ++r)
        __builtin_memcpy(heads.scores[h + r] + j, results[r], sizeof results[r]);
    }
  }
}

// Scales the scores and makes weights of them.
inline void weigh(const AttentionSpan& a, Heads& heads, Index count) {
  for (int h = 0; h < heads.count; ++h) {
    float* const scores = heads.scores[h];
    for (Index j = 0; j < count; ++j) scores[j] = scores[j] * a.scale;
    for (Index j = count; j < key_block; ++j) scores[j] = -__builtin_inff();
    const float before = heads.top[h];
    heads.top[h] = larger(before, largest(scores, key_block));
    heads.fade[h] = exp(before - heads.top[h]);
    for (Index j = 0; j < key_block; j += lanes)
      store_f32(scores + j, exp(sub(load_f32(scores + j), set(heads.top[h]))));
    heads.weight[h] =
        first_lane(fma(set(heads.weight[h]), set(heads.fade[h]), set(sum(scores, key_block))));
  }
}

// Adds the values of the positions [begin, begin + count), weighed, to the partial sums.
template <class Format, bool whole>
inline void add_values(const AttentionSpan& a, const Heads& heads, Index begin, Index count,
                       Index column) {
  const Index size = a.head_dim + 2;
  const Index columns = a.head_dim - column;
  for (int h = 0; h < heads.count; h += tile_heads) {
    const auto head = [&](int r) { return h + r < heads.count ? h + r : heads.count - 1; };
    Tile<tile_heads> tile;
#pragma GCC unroll 8
    for (int r = 0; r < tile_heads; ++r) {
      load_row(heads.partial + head(r) * size + column, columns, tile.sums[r]);
      const Register fade = broadcast(heads.fade[head(r)]);
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) tile.sums[r][s] = mul(tile.sums[r][s], fade);
    }
    const float* scores[tile_heads];
    for (int r = 0; r < tile_heads; ++r) scores[r] = heads.scores[head(r)];
    add_products<whole, Format>(
        tile, [&](int r, Index j) { return scores[r][j]; },
        position(a, a.values, begin, Format::size) + column * Format::size, a.kv_stride, columns, 0,
        count);
    for (int r = 0; r < tile_heads && h + r < heads.count; ++r)
      store_row(heads.partial + (h + r) * size + column, columns, tile.sums[r]);
  }
}

template <class Format>
void attention_span(const AttentionSpan& a) {
  const Index size = a.head_dim + 2;
  for (int first = 0; first < a.heads; first += heads_together) {
    Heads heads;
    heads.count = a.heads - first < heads_together ? a.heads - first : heads_together;
    heads.q = a.q + first * a.head_dim;
    heads.partial = a.partial + first * size;
    for (int h = 0; h < heads.count; ++h) {
      heads.top[h] = -__builtin_inff();
      heads.weight[h] = 0;
      __builtin_memset(heads.partial + h * size, 0,
                       static_cast<std::size_t>(a.head_dim) * sizeof(float));
    }
    for (Index begin = 0; begin < a.count; begin += key_block) {
      const Index count = a.count - begin < key_block ? a.count - begin : key_block;
      score<Format>(a, heads, begin, count);
      weigh(a, heads, count);
      Index column = 0;
      for (; column + tile_columns <= a.head_dim; column += tile_columns)
        add_values<Format, true>(a, heads, begin, count, column);
      if (column < a.head_dim) add_values<Format, false>(a, heads, begin, count, column);
    }
    for (int h = 0; h < heads.count; ++h) {
      heads.partial[h * size + a.head_dim] = heads.top[h];
      heads.partial[h * size + a.head_dim + 1] = heads.weight[h];
    }
  }
}

void attention_merge(const AttentionMerge& a) {
  float& top = a.total[a.head_dim];
  float& weight = a.total[a.head_dim + 1];
  const float their_top = a.partial[a.head_dim];
  const float both = larger(top, their_top);
  const Lanes ours = set(exp(top - both));
  const Lanes theirs = set(exp(their_top - both));
  each(a.head_dim, [&](Index i, Index n) {
    const Lanes total = mul(load(a.total + i, n), ours);
    store(a.total + i, n, fma(load(a.partial + i, n), theirs, total));
  });
  const Lanes their_weight = set(a.partial[a.head_dim + 1]);
  weight = first_lane(fma(their_weight, theirs, mul(set(weight), ours)));
  top = both;
}

}  // namespace
}  // namespace hearth::kernels::cpu
