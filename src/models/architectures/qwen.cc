#include "models/architectures/families.h"

namespace autoglm {
namespace {

Status ReadGguf(const GgufKeys& /*keys*/, ModelConfig& config) {
  config.rope.pairing = RopePairing::kHalf;
  return {};
}

Status ReadJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(RequireActivation(fields, "hidden_act", "silu"));
  AUTOGLM_TRY(const bool slides, fields.BoolOr("use_sliding_window", false));
  if (slides) return Fail(ErrorCode::kUnsupported, "use_sliding_window is not supported for Qwen");
  config.rope.pairing = RopePairing::kHalf;
  AUTOGLM_TRY(config.rope, ReadRope(fields, config, "full_attention", 1.0));
  return {};
}

Status ReadQwen2Json(const ConfigFields& fields, ModelConfig& config) {
  config.has_qkv_bias = true;
  return ReadJson(fields, config);
}

Status ReadQwen3Json(const ConfigFields& fields, ModelConfig& config) {
  config.has_qk_norm = true;
  return ReadJson(fields, config);
}

}  // namespace

const Architecture& Qwen2() {
  static const Architecture family = {.gguf_name = "qwen2",
                                      .model_types = {"qwen2"},
                                      .read_gguf = ReadGguf,
                                      .read_json = ReadQwen2Json,
                                      .gguf_tensors = GgufNames(),
                                      .folder_tensors = TransformersNames()};
  return family;
}

const Architecture& Qwen3() {
  static const Architecture family = {.gguf_name = "qwen3",
                                      .model_types = {"qwen3"},
                                      .read_gguf = ReadGguf,
                                      .read_json = ReadQwen3Json,
                                      .gguf_tensors = GgufNames(),
                                      .folder_tensors = TransformersNames()};
  return family;
}

}  // namespace autoglm
