// What the engine is told, as plain data: the same bytes on both sides of the C interface.
//
// A plan says what one step does; it is made once for a cell, its widths and a number type. A call brings the tensors.
// It is words of eight bytes: a tg_call, the address of each tensor of the plan (null where there is none), and then of
// each the stride from row to row.
// Offsets and strides count elements.
#pragma once

#include <stdint.h>

extern "C" {

// A series in bfloat16: a run reads it, or writes it.
enum tg_halved {
  TG_WHOLE = 0,
  TG_READ = 1,
  TG_WRITTEN = 2,
};

// Where a row of values lies.
enum tg_kind {
  TG_ROWS = 0,      // of a tensor with one row for each sequence
  TG_SERIES = 1,    // of a tensor with one row for each step of each sequence
  TG_CHUNK = 2,     // of the workspace for the steps of the present chunk
  TG_BEFORE = 3,    // of the carried values before the step
  TG_AFTER = 4,     // of the carried values after the step
  TG_SCRATCH = 5,   // of what earlier phases of the step left
  TG_PRODUCT = 6,   // of this tile's products; the offset is the number of the product
  TG_VECTOR = 7,    // of a tensor with one row for all
  TG_PREVIOUS = 8,  // of a series one step earlier, or of the initial rows where there is none
};

typedef struct {
  int32_t kind;
  int32_t tensor;   // ROWS, SERIES, VECTOR, PREVIOUS: which tensor of the call
  int64_t offset;   // first column
  int32_t initial;  // PREVIOUS: the tensor of initial rows, or -1 for zeros
  int32_t one;      // 1: one number a row, the same for all units
} tg_place;

enum { TG_INPUT = 0 };  // the tensor of it

// A matrix [k, n] to multiply rows by: block of a weight, as it is or transposed.
typedef struct {
  int32_t tensor;
  int32_t across;  // 1: entry (i, j) is weight[row + i][j]; 0: weight[row + j][i]
  int64_t row;
  int64_t k, n;
  int64_t columns;  // of the weight, as it is stored
  int64_t sparse;   // 1: a panel holds only the i whose entries are not all zeros, and a list of them
  int64_t heads;    // equal parts of k and of n: each part of n multiplies its own part of k, and the weight has no more
} tg_matrix;

typedef struct {
  tg_place operand;
  int32_t matrix;
  int32_t add;     // to what is there already
  int64_t result;  // number of the product in its tile; for products of a chunk its column
  int32_t bias;    // tensor, or -1
  int32_t group;   // of a delta run: neighbours of one operand, which share a list of what changed; or -1
  int64_t bias_offset;
  int64_t sum, sent;  // of a delta run, in what a sequence remembers: the product so far, the operand as it was sent
} tg_product;

// One tile of pointwise work, as emitted code sees it.
typedef struct {
  void* const* rows;       // for each place, the first row
  const int64_t* strides;  // for each place, from row to row
  int32_t count;           // of rows
  int32_t width;           // of rows, in elements
} tg_tile;

typedef void (*tg_pointwise)(const tg_tile*);

// Mean and variance of each row, over all units of some places together.
typedef struct {
  int64_t width;
  int32_t first_place, places;
  int64_t mean, variance;  // where they go in the row of scratch; -1 where nobody asks
} tg_reduction;

typedef struct {
  int64_t width;
  tg_pointwise pointwise;
  int32_t first_product, products;
  int32_t first_place, places;          // of the pointwise work
  int32_t first_reduction, reductions;  // of each tile when its pointwise work is done
  int32_t first_join, joins;            // reductions that are finished before anything else
} tg_phase;

typedef struct {
  int64_t width;
  int64_t offset;   // in the row of carried values
  int32_t initial;  // tensor of rows, or -1 for zeros
  int32_t last;     // tensor of rows that takes the value after the last step, or -1
} tg_carried;

// weight[row ..][:] += sum over steps of adjoint times operand
typedef struct {
  int64_t adjoint;  // column of the chunk
  int64_t rows, columns;
  tg_place operand;
  int32_t tensor;
  int32_t weight;  // only what is not zero in this tensor has a gradient; -1: all of it
  int64_t row;
} tg_gradient;

// vector[offset ..] += sum over steps of adjoint
typedef struct {
  int64_t adjoint;
  int64_t count;
  int32_t tensor;
  int64_t offset;
} tg_sum;

// What differs between processors; runtime/tuning.py has the table and says what each means.
typedef struct {
  int64_t forward_chunk, backward_chunk;  // bytes
  int64_t backward_rows, fewest_rows;     // of a backward chunk
  int64_t gradient_rows;
  int64_t unpacked_rows, across_tiles;
  int64_t row_matrices;
  int64_t thread_work, meeting_work;  // multiplications
} tg_tuning;

typedef struct {
  int64_t carried_width, scratch_width, chunk_width;
  int32_t matrices, products, places, reductions, phases, ending_phases, carried, gradients, sums;
  int32_t before_chunk;    // products of the input that fill a chunk before its steps
  int32_t behind_chunk;    // products of a chunk that give the gradient of the input
  int32_t slots;           // products of one tile
  int32_t input_gradient;  // tensor, or -1
  int32_t by_unit;         // 1: no unit ever reads another one, so each runs through time by itself
  int32_t chunk;           // the series whose rows are those of the chunk, or -1: they lie in the workspace
  int32_t source;          // the series that a chunk is copied from, each row times the weight of its sequence, or -1
  int32_t weights;         // the tensor of these, one number for each sequence
  int32_t tally;           // the tensor of rows of sequences that a second chunk is added to, or -1
  int64_t tally_width;     // of a row of that chunk, which lies in the workspace, beside one that is a series
  int64_t tensors;  // that a call brings
  int64_t halves;   // how many of them are series in bfloat16
  const tg_matrix* matrix;
  const tg_product* product;  // those of phases, then before_chunk, then behind_chunk
  const tg_place* place;
  const tg_reduction* reduction;
  const tg_phase* phase;  // those of a step, then the ending ones
  const tg_carried* carry;
  const tg_gradient* gradient;
  const tg_sum* sum;
  const uint8_t* narrow;  // of each tensor: 1 if it holds numbers in the type in which matrices are packed
  const uint8_t* halved;  // of each tensor a tg_halved
  const tg_tuning* tuning;
} tg_plan;

// What a delta run remembers, beside the plan: of each sequence a row of sums and of operands as they were last sent.
typedef struct {
  int64_t left;  // steps until the sums are made afresh
  int64_t sent;  // columns that were multiplied so far
} tg_sent;

typedef struct {
  double inputs, states;  // what changed by no more than this is not sent
  void* rows;             // one for each sequence
  int64_t stride;         // from row to row
  tg_sent* sent;          // of each sequence, of each group
  int64_t groups;
  int64_t period;         // steps from sums made afresh to the next
} tg_delta;

typedef struct {
  const tg_plan* plan;
  int64_t steps, sequences;
  const int64_t* sizes;    // of each step: how many sequences still run; never grows
  const int64_t* offsets;  // of each step: its first row in a series; one more than steps
  const uint8_t* resets;   // for each row of a series: the carried values are zeros before it; or null
  void* workspace;         // at least tg_workspace bytes, aligned to 64
  const void* packed;      // matrices packed by tg_pack, or null: they are packed first
  int64_t descending;      // from the last step to the first
  int64_t resets_behind;   // the resets act behind the step: this is a backward run
  const tg_delta* delta;   // of a delta run, or null
  int64_t deeper;          // the input is the output of another layer
} tg_call;

}  // extern "C"
