// The avx512 path, for processors with VNNI but without BF16 products. Everything below lives in a namespace of its own, so that
// no inline function compiled with this file's instruction set can be taken for another file's.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace autoglm::avx512 {

// Tokens that one pass over a panel's weights serves; more would not fit into the registers.
inline constexpr int kGemmTokens = 12;
// Tokens of a tile, as activations are laid out.
inline constexpr int kTileTokens = 12;
// Whether a tile's activations of a group stand token by token, as matrix tiles want them.
inline constexpr bool kTokenMajor = false;
#define AUTOGLM_PATH_ISA Isa::kAvx512

// clang-format off: the order matters.
#include "kernels/avx512/vec16.h"
#include "kernels/common/elementwise.inl.h"
#include "kernels/common/weight_source.inl.h"
#include "kernels/common/gemm.inl.h"
#include "kernels/common/attention.inl.h"
#include "kernels/common/peaks.inl.h"
#include "kernels/common/table.inl.h"
// clang-format on

}  // namespace autoglm::avx512
