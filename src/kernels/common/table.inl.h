// The table of one path. Included last, inside the path's namespace, with AUTOGLM_PATH_ISA defined, and those of the following
// that the path has of its own.
#ifndef AUTOGLM_GEMM_QUANTIZED
#define AUTOGLM_GEMM_QUANTIZED GemmQuantized
#define AUTOGLM_GEMM_BF16 GemmBf16
#define AUTOGLM_ATTENTION_RANGE AttentionRange
#define AUTOGLM_RUN_PEAK RunPeak
#define AUTOGLM_MIN_MIXED_TOKENS std::numeric_limits<int64_t>::max()
#endif

const KernelTable& Table() {
  static constexpr KernelTable table = {
      .isa = AUTOGLM_PATH_ISA,
      .tile_tokens = kTileTokens,
      .min_mixed_tokens = AUTOGLM_MIN_MIXED_TOKENS,
      .rms_norm = RmsNorm,
      .silu_mul = SiluMul,
      .gelu_tanh_mul = GeluTanhMul,
      .add_scaled = AddScaled,
      .soft_cap = SoftCap,
      .rope_interleaved = RopeInterleaved,
      .rope_half = RopeHalf,
      .quantize_tile = QuantizeTile,
      .int16_tile = Int16Tile,
      .bf16_tile = Bf16Tile,
      .transpose_tile = TransposeTile,
      .gemm_quantized = AUTOGLM_GEMM_QUANTIZED,
      .pack_int16 = PackInt16,
      .gemm_int16 = GemmInt16,
      .gemm_bf16 = AUTOGLM_GEMM_BF16,
      .gemm_float = GemmFloat,
      .write_keys = WriteKeys,
      .write_values = WriteValues,
      .attention_range = AUTOGLM_ATTENTION_RANGE,
      .merge_attention = MergeAttention,
      .finish_attention = FinishAttention,
      .run_peak = AUTOGLM_RUN_PEAK,
      .read_bytes = ReadBytes,
  };
  return table;
}
