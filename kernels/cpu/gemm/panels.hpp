// Panels of weights, which the GEMMs multiply with (see gemm.hpp): how they are
// unpacked, and the order in which a product goes through them. A file that includes this has
// defined the registers and their operations. As in vector.hpp, everything has internal linkage and
// nothing of the standard library is used.
//
// A panel holds units of 4 bytes, [unit][panel_rows]: a unit is one column in F32, or, for the
// formats that BF16 holds exactly, two neighbouring columns in BF16, the first in the lower half.
#pragma once

namespace hearth::kernels::cpu {
namespace {

using Index = std::int64_t;

constexpr Index unit_bytes = panel_rows * 4;
constexpr int vectors = panel_rows / width;  // of a unit

struct alignas(64) Panel {
  char units[gemm_columns * unit_bytes];
};

// --- Unpacking -----------------------------------------------------------------------------------

// The codes of a panel, in the block of columns at hand.
struct Source {
  const char* data = nullptr;
  Index row_bytes = 0;  // from one row to the next
  Index rows = 0;       // ≤ panel_rows; those beyond are taken for the last one
  Index bytes = 0;      // of a row in this block
};

// `size` bytes of a row from byte `at` on; behind the end of the block, zeros. `whole`: there is no
// such row or byte.
template <bool whole, int size, class Load>
inline Codes load_part(const Source& s, Index row, Index at, Load load) {
  if constexpr (whole) return load(s.data + row * s.row_bytes + at);
  const char* const from = s.data + (row < s.rows ? row : s.rows - 1) * s.row_bytes + at;
  if (at + size <= s.bytes) return load(from);
  char some[size] = {};
  if (at < s.bytes) __builtin_memcpy(some, from, static_cast<std::size_t>(s.bytes - at));
  return load(some);
}

// Reads one byte of every cache line, to bring a piece of memory into the core's cache: in this
// order that is several times faster than in the order of use. (Of many prefetches, the processor
// drops most.)
inline void touch(const char* data, Index bytes) {
  for (Index i = 0; i < bytes; i += 64)
    static_cast<void>(*static_cast<const volatile char*>(data + i));
}

// A register consists of 16-byte lanes; lane l of a vector of the panel is rows 4l … 4l + 3 of its
// `width` rows. In each lane, four rows of four units become four units of four rows; a panel has
// them one below the other.
inline void transpose_in_lanes(const Codes (&rows)[4], Codes (&units)[4]) {
  const Codes a = unpack_low_32(rows[0], rows[1]), b = unpack_low_32(rows[2], rows[3]);
  const Codes c = unpack_high_32(rows[0], rows[1]), d = unpack_high_32(rows[2], rows[3]);
  units[0] = unpack_low_64(a, b);
  units[1] = unpack_high_64(a, b);
  units[2] = unpack_low_64(c, d);
  units[3] = unpack_high_64(c, d);
}
inline void store_units(const Codes (&rows)[4], char* to) {
  Codes units[4];
  transpose_in_lanes(rows, units);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) store_codes(to + i * unit_bytes, units[i]);
}

// In each lane two units of four rows as F8 codes, widened.
inline void store_widened(Codes codes, char* to) {
  const Halves bf16 = f8_to_bf16(codes);
  store_codes(to, unpack_low_8(bf16.low, bf16.high));
  store_codes(to + unit_bytes, unpack_high_8(bf16.low, bf16.high));
}

// The same as store_units for eight units of F8 codes.
inline void store_f8_units(const Codes (&rows)[4], char* to) {
  const Codes a = unpack_low_16(rows[0], rows[1]), b = unpack_low_16(rows[2], rows[3]);
  const Codes c = unpack_high_16(rows[0], rows[1]), d = unpack_high_16(rows[2], rows[3]);
  store_widened(unpack_low_32(a, b), to);
  store_widened(unpack_high_32(a, b), to + 2 * unit_bytes);
  store_widened(unpack_low_32(c, d), to + 4 * unit_bytes);
  store_widened(unpack_high_32(c, d), to + 6 * unit_bytes);
}

constexpr int register_bytes = 16 * lane_count;

// A format: bytes of a code, what a unit holds, bytes of a row that fill a register, how they get
// there, and the units of a lane.
struct F32 {
  static constexpr int size = 4;
  static constexpr bool paired = false;
  static constexpr int row_bytes = register_bytes;
  static constexpr int lane_units = 4;
  static Codes load(const char* p) { return load_codes(p); }
  static void store(const Codes (&rows)[4], char* to) { store_units(rows, to); }
};
struct F16 {
  static constexpr int size = 2;
  static constexpr bool paired = false;
  static constexpr int row_bytes = register_bytes / 2;
  static constexpr int lane_units = 4;
  static Codes load(const char* p) { return load_f16(p); }
  static void store(const Codes (&rows)[4], char* to) { store_units(rows, to); }
};
struct Bf16 {
  static constexpr int size = 2;
  static constexpr bool paired = true;
  static constexpr int row_bytes = register_bytes;
  static constexpr int lane_units = 4;
  static Codes load(const char* p) { return load_codes(p); }
  static void store(const Codes (&rows)[4], char* to) { store_units(rows, to); }
};
struct F8 {
  static constexpr int size = 1;
  static constexpr bool paired = true;
  static constexpr int row_bytes = register_bytes;
  static constexpr int lane_units = 8;
  static Codes load(const char* p) { return load_codes(p); }
  static void store(const Codes (&rows)[4], char* to) { store_f8_units(rows, to); }
};

template <class Format, bool whole>
inline void unpack(const Source& source, char* panel) {
  for (int v = 0; v < vectors; ++v) {
    char* to = panel + v * width * 4;
    for (Index at = 0; at < source.bytes; at += Format::row_bytes) {
      Codes pieces[lane_count][4];  // [16 bytes of a row][row % 4]
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        Codes rows[lane_count];
#pragma GCC unroll 4
        for (int l = 0; l < lane_count; ++l)
          rows[l] =
              load_part<whole, Format::row_bytes>(source, v * width + 4 * l + i, at, Format::load);
        transpose_lanes(rows);
#pragma GCC unroll 4
        for (int l = 0; l < lane_count; ++l) pieces[l][i] = rows[l];
      }
#pragma GCC unroll 4
      for (int l = 0; l < lane_count; ++l) {
        Format::store(pieces[l], to);
        to += Format::lane_units * unit_bytes;
      }
    }
  }
}

template <class Format>
inline void unpack(const Source& source, Index columns, Panel& panel) {
  if (source.rows == panel_rows && columns == gemm_columns)
    unpack<Format, true>(source, panel.units);
  else
    unpack<Format, false>(source, panel.units);
}

// --- A product -----------------------------------------------------------------------------------

// Many rows take several panels at once, which share a block of their columns in the core's cache.
constexpr Index many_rows = 24;
constexpr Index panels_at_once = 4;

// Sums for all activation rows and a panel's weight rows, in the order that the adding code
// chooses.
using Totals = float[gemm_rows * panel_rows];

// The scales that a panel's rows have in a block of columns; behind the last row it again.
using PanelScales = float[panel_rows];

inline void load_scales(const Weights& w, Index first, Index rows, Index begin, PanelScales& to) {
  const Index column = begin / scale_block * w.scale_step;
  if (w.scale_shift > 0) {  // a panel is in one block
    const float scale = row_scales(w, first)[column];
    for (float& one : to) one = scale;
    return;
  }
  for (Index row = 0; row < panel_rows; ++row)
    to[row] = row_scales(w, first + (row < rows ? row : rows - 1))[column];
}

// A product. multiply(source, begin, columns, scales, totals) adds what is to be had of a panel's
// codes in the block of columns that begins at `begin`; finish(totals, first, count) puts away the
// results of the weight rows from `first` on.
template <class Format, class Multiply, class Finish>
inline void go_through_panels(const GemmArguments& p, Index packed_row_bytes, Multiply multiply,
                              Finish finish) {
  alignas(64) Totals totals[panels_at_once];
  alignas(64) PanelScales scales;
  for (float& one : scales) one = 1;
  const Weights& w = p.weights;
  const char* const data = static_cast<const char*>(w.data);
  const Index step = p.rows < many_rows ? panel_rows : panels_at_once * panel_rows;
  for (Index group = p.first; group < p.last; group += step) {
    const Index end = p.last - group < step ? p.last : group + step;
    touch(data + group * w.stride * Format::size, (end - group) * w.stride * Format::size);
    for (Index begin = 0; begin < w.cols; begin += gemm_columns) {
      const Index left = w.cols - begin;
      const Index columns = left < gemm_columns ? left : gemm_columns;
      if (p.rows >= many_rows)
        touch(reinterpret_cast<const char*>(p.x + begin / gemm_columns * p.x_stride),
              p.rows * packed_row_bytes);
      for (Index first = group; first < end; first += panel_rows) {
        const Source source{.data = data + (first * w.stride + begin) * Format::size,
                            .row_bytes = w.stride * Format::size,
                            .rows = end - first < panel_rows ? end - first : panel_rows,
                            .bytes = columns * Format::size};
        if constexpr (Format::size == 1) load_scales(w, first, source.rows, begin, scales);
        multiply(source, begin, columns, scales, totals[(first - group) / panel_rows]);
      }
    }
    for (Index first = group; first < end; first += panel_rows)
      finish(totals[(first - group) / panel_rows], first,
             end - first < panel_rows ? end - first : panel_rows);
  }
}

// The results of totals that stand as [activation row][panel_rows].
inline void store_totals(const GemmArguments& p, const Totals& totals, Index first, Index count) {
  for (Index r = 0; r < p.rows; ++r)
    __builtin_memcpy(p.y + r * p.y_stride + first, totals + r * panel_rows,
                     static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace
}  // namespace hearth::kernels::cpu
