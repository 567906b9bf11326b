// Tiles whose sums lie in tile registers: 16 rows times 16 columns in each, 16 words of k in one instruction.
//
// A member configures its registers when it begins: all rows, all columns. A tile with fewer of them changes that for
// as long as it takes. What is left of k is filled up with zeros where words are packed. Unit is what does the work.
#pragma once

#include "int8.h"
#include "tile_unit.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int kSumRegisters = 4;  // the first ones; then two of operands, and two of a panel
constexpr int kOperandRegister = kSumRegisters, kPanelRegister = kOperandRegister + 2;

template <class Unit>
void configure_tiles(int rows, int columns) {
  TileShapes shapes = {};
  shapes.palette = 1;
  for (int r = 0; r < kTileRegisters; ++r) {
    const bool operand = r == kOperandRegister || r == kOperandRegister + 1;
    shapes.rows[r] = static_cast<uint8_t>(r < kPanelRegister ? rows : kTileSide);
    shapes.bytes[r] = static_cast<uint16_t>(4 * (operand ? kTileSide : columns));
  }
  Unit::configure(shapes);
}

// A member's, from the first product to the last.
template <class Unit>
void begin_tiles() {
  configure_tiles<Unit>(kTileSide, kTileSide);
}

// All rows and columns, unless a tile has fewer.
template <class Unit>
class Shaped {
 public:
  Shaped(int rows, int columns) : changed_(rows < kTileSide || columns < kTileSide) {
    if (changed_) configure_tiles<Unit>(rows, columns);
  }
  ~Shaped() {
    if (changed_) begin_tiles<Unit>();
  }

 private:
  bool changed_;
};

template <int kNumber>
struct Number {
  static constexpr int kValue = kNumber;
};
template <int kCount, class Body>
TIDEGATE_INLINE void for_each_number(const Body& body) {
  if constexpr (kCount > 0) {
    for_each_number<kCount - 1>(body);
    body(Number<kCount - 1>());
  }
}

// bfloat16: each group of columns has sums of its own, which may begin with a bias or go on.
struct AmxPairs {
  static constexpr int kParts = 1;  // of an operand's row
  static constexpr bool kStarts = true;
  template <class Unit, int kSum, int kA, int kB>
  TIDEGATE_INLINE static void add() {
    Unit::template add_pairs<kSum, kA, kB>();
  }
  static TIDEGATE_INLINE Vector<float> result(const Word* const (&sums)[kParts], const DotArguments&, int, int, Vector<float> before) {
    return (Vector<float>)load_words(sums[0]) + before;
  }
};

// int8: sums of the upper and of the lower bytes, or of the only ones, which int8.h makes numbers of.
template <int kBytesOfNumber>
struct AmxBytes {
  static constexpr int kParts = kBytesOfNumber;
  static constexpr bool kStarts = false;
  template <class Unit, int kSum, int kA, int kB>
  TIDEGATE_INLINE static void add() {
    Unit::template add_bytes<kSum, kA, kB>();
  }
  static TIDEGATE_INLINE Vector<float> result(const Word* const (&sums)[kParts], const DotArguments& tile, int row, int column,
                                              Vector<float> before) {
    WholeVector own[kParts][1];
    for (int p = 0; p < kParts; ++p) own[p][0] = (WholeVector)load_words(sums[p]);
    scale_sums<kParts, 1>(own, tile.panel + tile.words * tile.panel_step + column, tile.panel_step,
                          tile.a + row * tile.a_stride + 2 * tile.words, &before);
    return before;
  }
};

// Columns of a group in the panel, which is padded to whole vectors.
TIDEGATE_INLINE int at_most_a_side(const DotArguments& tile, int column) {
  const int left = padded<float>(tile.width) - column;
  return left < kTileSide ? left : kTileSide;
}

// Results of a group from its sums.
template <class Kind>
void finish_group(int rows, const DotArguments& tile, int column, const Word (*sums)[kTileSide * kTileSide]) {
  constexpr int lanes = kLanes<float>;
  for (int row = 0; row < rows; ++row)
    for (int v = 0; v < kTileSide && column + v < tile.width; v += lanes) {
      float* const to = tile.c[row] + column + v;
      const int left = tile.width - column - v, own = left < lanes ? left : lanes;
      const bool begins = tile.start == Start::kAdd || (!Kind::kStarts && tile.start == Start::kGoOn);
      Vector<float> before = {};
      if (begins) before = own == lanes ? load(to) : load(to, own);
      if (!Kind::kStarts && tile.start == Start::kBias) before = load(tile.bias + column + v);
      const Word* of[Kind::kParts];
      for (int p = 0; p < Kind::kParts; ++p) of[p] = sums[p] + row * kTileSide + v;
      const Vector<float> value = Kind::result(of, tile, row, column + v, before);
      own == lanes ? store(to, value) : store(to, value, own);
    }
}

// Some groups of columns, of which the first begins at `column`; the registers have the shape of the tile.
template <class Unit, class Kind, int kGroups>
void multiply_groups(int rows, const DotArguments& tile, int column) {
  constexpr int parts = Kind::kParts;
  alignas(64) Word sums[parts][kTileSide * kTileSide];
  for_each_number<kGroups>([&](auto group) {
    constexpr int g = decltype(group)::kValue;
    if (Kind::kStarts && tile.start == Start::kBias)
      return Unit::template load<g>(tile.bias + column + g * kTileSide, 0);  // the same for all rows
    if (Kind::kStarts && tile.start == Start::kGoOn) {
      for (int row = 0; row < rows; ++row)
        memcpy(sums[0] + row * kTileSide, tile.c[row] + column + g * kTileSide, sizeof(float) * at_most_a_side(tile, column + g * kTileSide));
      return Unit::template load<g>(sums[0], kTileSide);
    }
    for_each_number<parts>([&](auto part) { Unit::template zero<g * parts + decltype(part)::kValue>(); });
  });
  const Word *a = tile.a, *panel = tile.panel + column;
  for (int64_t i = 0; i < tile.words; i += kTileSide, a += kTileSide, panel += kTileSide * tile.panel_step) {
    for_each_number<parts>([&](auto part) {
      constexpr int p = decltype(part)::kValue;
      Unit::template load<kOperandRegister + p>(a + p * tile.words, tile.a_stride);
    });
    for_each_number<kGroups>([&](auto group) {
      constexpr int g = decltype(group)::kValue, own = kPanelRegister + g % 2;
      Unit::template load<own>(panel + g * kTileSide, tile.panel_step);
      for_each_number<parts>([&](auto part) {
        constexpr int p = decltype(part)::kValue;
        Kind::template add<Unit, g * parts + p, kOperandRegister + p, own>();
      });
    });
  }
  for_each_number<kGroups>([&](auto group) {
    constexpr int g = decltype(group)::kValue;
    for_each_number<parts>([&](auto part) {
      constexpr int p = decltype(part)::kValue;
      Unit::template store<g * parts + p>(sums[p], kTileSide);
    });
    finish_group<Kind>(rows, tile, column + g * kTileSide, sums);
  });
}

template <class Unit, class Kind>
void multiply_shaped(int rows, const DotArguments& tile) {
  constexpr int most = kSumRegisters / Kind::kParts;
  for (int column = 0; column < tile.width; column += most * kTileSide)
    switch ((tile.width - column + kTileSide - 1) / kTileSide) {
      case 1:
        multiply_groups<Unit, Kind, 1>(rows, tile, column);
        break;
      case 2:
        multiply_groups<Unit, Kind, 2>(rows, tile, column);
        break;
      case 3:
        multiply_groups<Unit, Kind, most < 3 ? most : 3>(rows, tile, column);
        break;
      default:
        multiply_groups<Unit, Kind, most>(rows, tile, column);
    }
}

template <class Unit, class Kind>
void multiply_amx(int rows, const DotArguments& tile) {
  const Shaped<Unit> shaped(rows, at_most_a_side(tile, 0));
  multiply_shaped<Unit, Kind>(rows, tile);
}

template <class Unit, class Kind>
void multiply_amx_row(int panels, int vectors, const DotRowArguments& row) {
  const int full = vectors * kLanes<float>;
  const Shaped<Unit> shaped(1, full < kTileSide ? full : kTileSide);
  for (int p = 0; p < panels; ++p)
    multiply_shaped<Unit, Kind>(1, {row.a, 0, row.words, row.panel[p], full, row.bias[p], {row.c[p]}, full,
                                    row.bias[p] ? Start::kBias : Start::kZero});
}

template <class Unit>
void multiply_amx_bytes(int rows, const DotArguments& tile) {
  has_one_byte(tile.a, tile.words) ? multiply_amx<Unit, AmxBytes<1>>(rows, tile) : multiply_amx<Unit, AmxBytes<2>>(rows, tile);
}
template <class Unit>
void multiply_amx_row_of_bytes(int panels, int vectors, const DotRowArguments& row) {
  has_one_byte(row.a, row.words) ? multiply_amx_row<Unit, AmxBytes<1>>(panels, vectors, row)
                                 : multiply_amx_row<Unit, AmxBytes<2>>(panels, vectors, row);
}

// A row of words; whole vectors of numbers are as long as tiles are deep, or shorter.
inline void round_to_pairs(const float* from, int64_t k, int64_t words, Word* to) {
  constexpr int lanes = kLanes<float>;
  BFloat16* const halves = reinterpret_cast<BFloat16*>(to);
  for (int64_t i = 0; i < 2 * words; i += lanes) {
    const int64_t left = k - i;
    store(halves + i, left >= lanes ? load(from + i) : left > 0 ? load(from + i, static_cast<int>(left)) : Vector<float>{});
  }
}

template <class Unit>
constexpr DotTiles amx_pairs_of(const char* name) {
  return {name, kTileSide, 2, kTileSide, 0, 1, 0, pack_pairs, round_to_pairs, multiply_amx<Unit, AmxPairs>,
          multiply_amx_row<Unit, AmxPairs>, nullptr, begin_tiles<Unit>, Unit::release};
}
template <class Unit>
constexpr DotTiles amx_bytes_of(const char* name) {
  return {name, kTileSide, kBytes, kTileSide, kBehind, 2, kOperandBehind, pack_bytes, round_to_bytes,
          multiply_amx_bytes<Unit>, multiply_amx_row_of_bytes<Unit>, nullptr, begin_tiles<Unit>, Unit::release, false, round_to_one_byte};
}

constexpr DotTiles kAmxTiles[] = {
    amx_pairs_of<EmulatedUnit>("amx-emulated"),
    amx_bytes_of<EmulatedUnit>("amx-emulated_int8"),
#ifdef TIDEGATE_AMX
    amx_pairs_of<AmxUnit>("amx"),
    amx_bytes_of<AmxUnit>("amx_int8"),
#endif
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
