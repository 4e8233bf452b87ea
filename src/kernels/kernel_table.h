#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/isa.h"
#include "kernels/packed_format.h"

namespace autoglm {

// A packed weight matrix as kernels see it. Panel p starts at data + p * panel_bytes, 64-byte aligned.
struct PanelView {
  PackedFormat format = PackedFormat::kF32;
  int64_t columns = 0;  // k
  int64_t panel_bytes = 0;
  const std::byte* data = nullptr;
};

// Tokens are multiplied in tiles of up to KernelTable::tile_tokens; no path has wider ones than these.
inline constexpr int64_t kMaxTileTokens = 16;

// How `num_tokens` are cut into tiles: as few as possible, their widths within one of each other, wider ones first.
struct Tiling {
  Tiling() = default;
  // `max_width`: KernelTable::tile_tokens of the path that fills the tiles.
  constexpr Tiling(int64_t tokens, int64_t width) : num_tokens(tokens), max_width(width) {}

  int64_t num_tokens = 0;
  int64_t max_width = kMaxTileTokens;

  // Always inlined: files of different instruction sets must not share a compiled copy.
  [[gnu::always_inline]] int64_t num_tiles() const { return (num_tokens + max_width - 1) / max_width; }
  [[gnu::always_inline]] int64_t Begin(int64_t tile) const {
    const int64_t base = num_tokens / num_tiles();
    const int64_t wider = num_tokens % num_tiles();
    return tile * base + (tile < wider ? tile : wider);
  }
};

struct KernelTable;

// What activations become before they meet weights. The format of the weights decides (KindFor).
//   kInt8   with every quantised format: 8 bits, one scale per (token, 32 columns); exact integer sums inside a group
//   kInt16  with kI16: 14 bits, one scale per (token, 32 columns)
//   kBf16   with BF16: rounded to BF16. On matrix tiles with quantised formats too, decoded and rounded to BF16 (kMixed)
//   kFloat  with anything: as they are
enum class ActivationKind { kInt8, kInt16, kBf16, kFloat };
ActivationKind KindFor(PackedFormat format, Arithmetic arithmetic, const KernelTable& kernels, int64_t num_tokens);

// Activations of some tokens, quantised to 8 bits with one scale per (token, group of 32 columns). Each tile of `width` tokens
// starting at token b is stored at token offset b of every array:
//   values  [columns/4][width][4] int8, at b * columns. Paths with matrix tiles (AMX) have [columns/32][width][32].
//   scales  [columns/32][width] f32, at b * columns/32                  (value = q * scale)
// and of the same shape, as the formats in use ask for (null where none does):
//   starts_8, starts_16, starts_128   i32: -8, -16, -128 times the sum of q over the group
//   scaled_sums                       f32: scale times the sum
//   half_starts_32 [columns/32][2][width] i32, at b * columns/16: -32 times the sum of the first 16 columns, and of the others
struct QuantizedActivations {
  Tiling tiling;
  int64_t columns = 0;
  int8_t* values = nullptr;
  float* scales = nullptr;
  int32_t* starts_8 = nullptr;
  int32_t* starts_16 = nullptr;
  int32_t* starts_128 = nullptr;
  int32_t* half_starts_32 = nullptr;
  float* scaled_sums = nullptr;
};

// Activations as pairs of columns, BF16 or int16: each tile is [columns/2 rounded up][width][2], at b * pairs. int16 has scales
// [groups][width] f32, at b * groups. BF16 of paths with matrix tiles (AMX) is [groups][width][32], zero behind the columns, at
// b * groups * 32.
struct PairActivations {
  Tiling tiling;
  int64_t columns = 0;
  uint16_t* values = nullptr;
  float* scales = nullptr;
};

// Activations as they are: each tile is [columns rounded up to even][width] f32, at b * (even columns).
struct FloatActivations {
  Tiling tiling;
  int64_t columns = 0;
  float* values = nullptr;
};

enum class Epilogue {
  kStore,  // out = product
  kAdd,    // out += product (a residual stream)
};

// One multiplication: rows of panels [panel_begin, panel_end) times every token.
struct GemmTask {
  PanelView weights;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  float* out = nullptr;  // out[token * out_stride + panel * 16 + row], for the rows below num_rows
  int64_t out_stride = 0;
  int64_t num_rows = 0;  // of the whole matrix
  Epilogue epilogue = Epilogue::kStore;
  float* scratch = nullptr;  // GemmScratchBytes(columns), 64-byte aligned, this thread's own
};

// Tiles whose sums wait in memory while a panel goes through them a few hundred columns at a time.
inline constexpr int64_t kTilesAtOnce = 8;
// On matrix tiles: sums of 16 tokens and 16 rows that wait while several panels meet several tiles of tokens.
inline constexpr int64_t kMatrixTileSums = 192;
// And what some hundred columns of two panels take there, expanded.
inline constexpr int64_t kMatrixTileChunkBytes = 32 << 10;
// Scratch of one thread: one panel expanded to bytes with its scales and minimums, to pairs, or to floats; then the sums of
// kTilesAtOnce tiles. Or the sums of matrix tiles and a part of two panels.
constexpr int64_t ExpandedFloats(int64_t columns) { return (columns + columns / 2 + 64) / 16 * 16 * kPanelRows; }
constexpr int64_t GemmScratchBytes(int64_t columns) {
  const int64_t by_vectors = (ExpandedFloats(columns) + kTilesAtOnce * kMaxTileTokens * kPanelRows) * 4;
  const int64_t by_tiles = kMatrixTileSums * kMaxTileTokens * kPanelRows * 4 + kMatrixTileChunkBytes;
  return by_vectors > by_tiles ? by_vectors : by_tiles;
}

// Keys and values of one KV head are read in ranges of this many tokens whose results are merged in order, so that a
// range can go to any thread and the sum still has one order.
inline constexpr int64_t kAttentionRangeTokens = 512;
inline constexpr int64_t kKvBlockTokens = 32;

// How keys and values are stored; layout: models/kv_pool.h. kInt8: each token's key (value) of one head rounded to 8 bits by its
// own scale, max|x| / 127, so that what is stored of a token depends on that token alone.
enum class KvType { kBf16, kF32, kInt8 };
// The scales of a block stand before its keys, and before its values.
inline constexpr int64_t kKvScaleBytes = kKvBlockTokens * 4;

// Attention of query rows of one KV head over one range of its tokens. Row r sees tokens [first_visible[r], visible[r]).
// State of a row: maximum m, sum l (16 lanes of it), accumulator [head_dim]; merge_attention joins the states of ranges.
struct AttentionTask {
  const std::byte* const* blocks = nullptr;  // keys of the head in each block of the range; values follow half_head_bytes later
  int64_t half_head_bytes = 0;
  KvType kv_type = KvType::kBf16;
  int64_t head_dim = 0;     // padded to a multiple of 16
  int64_t range_begin = 0;  // token index, a multiple of kAttentionRangeTokens
  int64_t num_rows = 0;
  const float* queries = nullptr;          // [num_rows][head_dim], scaled, zero in the padding
  uint16_t* bf16_queries = nullptr;        // scratch, [num_rows rounded up to a multiple of 16][head_dim], where keys are BF16
  const int64_t* first_visible = nullptr;  // [num_rows], above 0 where a sliding window has moved on
  const int64_t* visible = nullptr;        // [num_rows], counted from token 0
  float score_cap = 0;                     // above 0: a score becomes cap * tanh(score / cap), as in Gemma 2
  float* maximum = nullptr;                // out [num_rows]
  float* sum = nullptr;                    // out [num_rows][16]: lanes that add up to l
  float* accumulator = nullptr;            // out [num_rows][head_dim]
};

// The products whose rate bounds a machine: bench/machine_peaks.h.
enum class PeakOp { kInt8, kInt16, kBf16, kF32 };

// The functions of one instruction-set path. All of them compute the same operations in the same order on every path, but what
// kAmx multiplies in BF16: its order is the tiles' own.
struct KernelTable {
  Isa isa = Isa::kScalar;
  int64_t tile_tokens = kMaxTileTokens;
  // From this many tokens on gemm_bf16 takes quantised weights.
  int64_t min_mixed_tokens = std::numeric_limits<int64_t>::max();

  // out = x / sqrt(mean(x^2) + eps) * weight, [n].
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float eps, float* out) = nullptr;
  // out = gate * sigmoid(gate) * up, [n].
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out) = nullptr;
  // out = gelu(gate) * up, [n]; gelu by its tanh form: x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
  void (*gelu_tanh_mul)(const float* gate, const float* up, int64_t n, float* out) = nullptr;
  // out += scale * x, [n].
  void (*add_scaled)(const float* x, float scale, int64_t n, float* out) = nullptr;
  // x = cap * tanh(x / cap), [n].
  void (*soft_cap)(float* x, float cap, int64_t n) = nullptr;
  // Turns the first 2 * num_pairs values of a head: pairs (2i, 2i+1), or (i, i + num_pairs). cos, sin: [num_pairs].
  void (*rope_interleaved)(float* head, const float* cos, const float* sin, int64_t num_pairs) = nullptr;
  void (*rope_half)(float* head, const float* cos, const float* sin, int64_t num_pairs) = nullptr;

  // Write rows [b, b + width) of a tile into `out` at token offset b: row i from rows + i * stride, out.columns long.
  void (*quantize_tile)(const float* rows, int64_t stride, int64_t b, int64_t width, const QuantizedActivations& out) = nullptr;
  void (*int16_tile)(const float* rows, int64_t stride, int64_t b, int64_t width, const PairActivations& out) = nullptr;
  void (*bf16_tile)(const float* rows, int64_t stride, int64_t b, int64_t width, const PairActivations& out) = nullptr;
  void (*transpose_tile)(const float* rows, int64_t stride, int64_t b, int64_t width, const FloatActivations& out) = nullptr;

  // Quantised weights times 8-bit activations: exact integer sums per group of 32, float sums over groups in order.
  void (*gemm_quantized)(const GemmTask& task, const QuantizedActivations& activations) = nullptr;
  // F16 weights times 14-bit activations: exact integer sums per group of 32, float sums over groups in order.
  // A panel of kF16 as one of kI16, which is zero before.
  void (*pack_int16)(const std::byte* halves, int64_t columns, std::byte* panel) = nullptr;
  void (*gemm_int16)(const GemmTask& task, const PairActivations& activations) = nullptr;
  // BF16 weights times BF16 activations: sum = fma(x[k], w[k], fma(x[k + 1], w[k + 1], sum)) over pairs in order. On matrix
  // tiles: sum += (the even columns' products, one after the other) + (the odd columns'), over groups of 32 in order; and there
  // any quantised weights, each rounded to BF16.
  void (*gemm_bf16)(const GemmTask& task, const PairActivations& activations) = nullptr;
  // Any weights decoded to float times float activations: one sum over k in order.
  void (*gemm_float)(const GemmTask& task, const FloatActivations& activations) = nullptr;

  // Puts one token's key (or value) of one head, [head_dim], into the keys (values) of its block at `offset` (0..31), with zeros
  // up to padded_head_dim. Roundings are to the nearest, ties to even. Layout: models/kv_pool.h.
  void (*write_keys)(const float* key, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset,
                     std::byte* keys) = nullptr;
  void (*write_values)(const float* value, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset,
                       std::byte* values) = nullptr;
  void (*attention_range)(const AttentionTask& task) = nullptr;
  // Joins the state of a later range (m2, l2, acc2) into that of earlier ones (m, l, acc). l: [16], acc: [head_dim].
  void (*merge_attention)(float* m, float* l, float* acc, float m2, const float* l2, const float* acc2,
                          int64_t head_dim) = nullptr;
  // out[i] = acc[i] / sum of l's lanes, [n].
  void (*finish_attention)(const float* acc, const float* l, int64_t n, float* out) = nullptr;

  // Runs rounds of independent products in registers; the number of operations, a multiplication and an addition being two.
  int64_t (*run_peak)(PeakOp op, int64_t rounds) = nullptr;
  // Reads count / 256 * 256 bytes. The answer depends on all of them.
  int32_t (*read_bytes)(const std::byte* bytes, int64_t count) = nullptr;
};

// The table of a path. The path must be one of SupportedIsas().
const KernelTable& GetKernels(Isa isa);
// The amx path with plain loops in place of matrix tiles and vectors, for tests on machines without them.
const KernelTable& EmulatedAmxKernels();

}  // namespace autoglm
