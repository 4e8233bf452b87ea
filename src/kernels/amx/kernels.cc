// The amx path: the avx512 path with BF16 products, and matrix tiles for 8-bit products of many tokens and all products of BF16.
// Everything below lives in a namespace of its own, so that no inline function compiled with this file's instruction set can be
// taken for another file's.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace autoglm::amx {

// Tokens that one pass over a panel's weights serves; more would not fit into the registers.
inline constexpr int kGemmTokens = 12;
// Tokens of a tile, as activations are laid out.
inline constexpr int kTileTokens = 16;
// Whether a tile's activations of a group stand token by token, as matrix tiles want them.
inline constexpr bool kTokenMajor = true;
#define AUTOGLM_PATH_ISA Isa::kAmx

// clang-format off: the order matters.
#include "kernels/avx512/vec16.h"
#include "kernels/common/elementwise.inl.h"
#include "kernels/common/weight_source.inl.h"
#include "kernels/common/gemm.inl.h"
#include "kernels/amx/amx_tiles.h"
#include "kernels/amx/tile_blocks.inl.h"
#include "kernels/amx/gemm.inl.h"
#include "kernels/common/attention.inl.h"
#include "kernels/amx/attention.inl.h"
#include "kernels/common/peaks.inl.h"
#include "kernels/amx/peaks.inl.h"
#define AUTOGLM_GEMM_QUANTIZED GemmQuantizedByTiles<AmxTiles>
#define AUTOGLM_GEMM_BF16 GemmPairsByTiles<AmxTiles>
#define AUTOGLM_ATTENTION_RANGE AttentionRangeByTiles<AmxTiles>
#define AUTOGLM_RUN_PEAK RunPeakByTiles<AmxTiles>
#define AUTOGLM_MIN_MIXED_TOKENS kMinMatrixTileTokens
#include "kernels/common/table.inl.h"
// clang-format on

}  // namespace autoglm::amx
