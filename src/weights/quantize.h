#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"

namespace autoglm {

// Bytes of a row of `num_columns` elements.
// Errors: kUnsupported where the row is no whole number of the type's blocks (the message has both numbers).
Result<int64_t> QuantizedRowBytes(DType type, int64_t num_columns);

// Writes a row in the format `type`. `out` has QuantizedRowBytes(type, row.size()) bytes.
//
// `importance` is empty, or holds a weight for the squared error of each column, such as the mean square of the activations
// that meet it; only ratios within a block count. Weights that are negative or no number count as 0; where a block has none
// above 0 it is quantised without. F32, F16, BF16 and Q8_0 make no use of it.
//
// Without importance Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are byte for byte what the reference quantisers of ggml make. Q4_K, Q5_K,
// Q6_K and IQ4_NL search for the scales of least weighted squared error, as ggml's do, with results of the same quality.
//
// Every row has a result, and one that dequantises to finite numbers: for the quantised types a NaN counts as 0 and what lies
// beyond the format's range (scales are halves) as the nearest value inside. F16 and BF16 keep NaNs; F16 ends at +-65504.
// Deterministic, and free of state: threads may share it.
void QuantizeRow(DType type, std::span<const float> row, std::span<std::byte> out, std::span<const float> importance = {});

// Writes a row as Q8_0 whose blocks all have the row's scale, the largest magnitude / 127 as a half: INT8 with one scale for each
// output channel. Numbers that are not finite as above.
void QuantizeRowByChannel(std::span<const float> row, std::span<std::byte> out);

}  // namespace autoglm
