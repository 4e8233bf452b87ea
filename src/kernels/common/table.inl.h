// The table of one path. Included last, inside the path's namespace, with AUTOGLM_PATH_ISA defined.

const KernelTable& Table() {
  static constexpr KernelTable table = {
      .isa = AUTOGLM_PATH_ISA,
      .rms_norm = RmsNorm,
      .silu_mul = SiluMul,
      .gelu_tanh_mul = GeluTanhMul,
      .add_scaled = AddScaled,
      .soft_cap = SoftCap,
      .rope_interleaved = RopeInterleaved,
      .rope_half = RopeHalf,
      .quantize_tile = QuantizeTile,
      .transpose_tile = TransposeTile,
      .gemm_quantized = GemmQuantized,
      .gemm_float = GemmFloat,
      .write_keys = WriteKeys,
      .write_values = WriteValues,
      .attention_range = AttentionRange,
      .merge_attention = MergeAttention,
      .finish_attention = FinishAttention,
  };
  return table;
}
