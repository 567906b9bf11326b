// Backward products with matrices of which only blocks are kept.
//
// In the list of a panel, each kept column of some neighbouring rows of a weight is a row of numbers. Backward it meets
// the adjoints of these rows, for many sequences side by side in a register: result[column] += sum over rows of
// weight[row][column] * adjoint[row]. Sums run over all rows in order, as those of tiles do, so they have the same bits.
#pragma once

#include "product.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class TurnedProducts : public Products<T, P> {
 protected:
  using Base = Products<T, P>;
  using Base::call_, Base::plan_, Base::space_;
  using Base::multiply_into_tile;

 public:
  using Base::Base;

 protected:
  // Results of up to a panel of rows, for columns from `low` to `high`; [column][row], rows padded.
  T* multiply_turned(int index, const T* from, int64_t stride, int rows, int64_t low, int64_t high, int member) {
    const int number = plan_.product[index].matrix;
    const tg_matrix& matrix = plan_.matrix[number];
    T* const adjoints = space_.turned + member * space_.turned_size;
    T* const result = adjoints + kPanel<T> * kPanel<T>;
    const int full = padded<T>(rows);
    memset(result + low * full, 0, (high - low) * full * sizeof(T));
    TileArguments<T> tile;
    tile.step = 1;
    tile.index = nullptr;
    tile.bias = nullptr;
    tile.start = Start::kGoOn;
    tile.width = full;
    tile.panel_step = full;
    for (int64_t unit = 0; unit < matrix.k; unit += kPanel<T>) {
      const int width = static_cast<int>(at_most(matrix.k - unit, kPanel<T>));
      pack_along(from + unit, stride, width, rows, adjoints);
      const PanelList list = space_.list_of(number, unit / kPanel<T>);
      const int size = list.vectors() * kLanes<T>;
      for (int first = 0; first < width; first += size) {
        const Kept part = list.part(first / size, kLanes<T>);
        const int own = width - first < size ? width - first : size;
        const T* const weights = reinterpret_cast<const T*>(space_.matrices[number]) + part.first;
        tile.k = own;
        tile.panel = adjoints + first * full;
        int64_t i = 0, end = part.k;
        while (i < end && part.index[i] < low) ++i;
        while (end > i && part.index[end - 1] >= high) --end;
        for (int count; i < end; i += count) {
          count = static_cast<int>(at_most(end - i, kTileRows));
          for (int c = 0; c < count; ++c) tile.a[c] = weights + (i + c) * padded<T>(own);
          for (int c = 0; c < count; ++c) tile.c[c] = result + part.index[i + c] * full;
          multiply(count, tile);
        }
      }
    }
    return result;
  }

  // Where a phase has the results of a product for its rows, [panel][row][column].
  T* turned_rows(int slot, int64_t columns, int member) const {
    return space_.turned + member * space_.turned_size + space_.turned_size - (slot + 1) * rounded(columns, kPanel<T>) * call_.sequences;
  }

  bool any_turned(const tg_phase& phase) const {
    if (!space_.any_turned) return false;
    for (int i = phase.first_product; i < phase.first_product + phase.products; ++i)
      if (space_.is_turned(plan_.matrix[plan_.product[i].matrix])) return true;
    return false;
  }

  // The turned products of a phase for all rows of a member.
  void multiply_turned_phase(const tg_phase& phase, const Rows<T>* operands, int64_t rows, int64_t first_panel,
                             int64_t last_panel, int member) {
    for (int i = 0; i < phase.products; ++i) {
      const int index = phase.first_product + i;
      const tg_matrix& matrix = plan_.matrix[plan_.product[index].matrix];
      if (!space_.is_turned(matrix)) continue;
      const int64_t low = at_most(first_panel * kPanel<T>, matrix.n), high = at_most(last_panel * kPanel<T>, matrix.n);
      T* const to = turned_rows(i, matrix.n, member);
      for (int64_t row = 0; row < rows; row += kPanel<T>) {
        const int count = static_cast<int>(at_most(rows - row, kPanel<T>));
        const T* const from = operands[i].first + row * operands[i].stride;
        const T* const result = multiply_turned(index, from, operands[i].stride, count, low, high, member);
        for (int64_t j = low; j < high; j += kPanel<T>)
          pack_along(result + j * padded<T>(count), padded<T>(count), count,
                     static_cast<int>(at_most(high - j, kPanel<T>)), to + j * rows + row * kPanel<T>, kPanel<T>);
      }
    }
  }

  // The products of a tile of a phase in which some are turned.
  void take_turned(const tg_phase& phase, const Rows<T>* operands, int64_t rows, int64_t row, int count, int64_t panel,
                   int width, T* tiles, int member) {
    for (int i = 0; i < phase.products; ++i) {
      const tg_product& product = plan_.product[phase.first_product + i];
      const tg_matrix& matrix = plan_.matrix[product.matrix];
      if (!space_.is_turned(matrix)) {
        multiply_into_tile(phase.first_product + i, operands[i], row, count, panel, width, tiles);
        continue;
      }
      const T* const from = turned_rows(i, matrix.n, member) + (panel * rows + row) * kPanel<T>;
      T* const to = tiles + product.result * tile_rows<P>() * kPanel<T>;
      for (int at = 0; at < count * kPanel<T>; at += kLanes<T>)
        store(to + at, product.add ? load(to + at) + load(from + at) : load(from + at));
    }
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
