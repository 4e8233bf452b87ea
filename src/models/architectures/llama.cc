#include <string>

#include "models/architectures/families.h"

namespace autoglm {
namespace {

// The converter permutes the rows of queries and keys, so that GGUF files pair neighbours.
Status ReadGguf(const GgufKeys& /*keys*/, ModelConfig& config) {
  config.rope.pairing = RopePairing::kInterleaved;
  return {};
}

Status ReadJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(RequireActivation(fields, "hidden_act", "silu"));
  AUTOGLM_TRY(const bool mlp_bias, fields.BoolOr("mlp_bias", false));
  if (mlp_bias || config.has_qkv_bias) return Fail(ErrorCode::kUnsupported, "a llama with biases is not supported");
  config.rope.pairing = RopePairing::kHalf;
  AUTOGLM_TRY(config.rope, ReadRope(fields, config, "full_attention", 1.0));
  return {};
}

}  // namespace

const Architecture& Llama() {
  static const Architecture family = {.gguf_name = "llama",
                                      .model_types = {"llama"},
                                      .read_gguf = ReadGguf,
                                      .read_json = ReadJson,
                                      .gguf_tensors = GgufNames(),
                                      .folder_tensors = TransformersNames()};
  return family;
}

Status RequireActivation(const ConfigFields& fields, std::string_view key, std::string_view wanted) {
  AUTOGLM_TRY(const std::string found, fields.String(key));
  if (found.empty() || found == wanted) return {};
  return Fail(ErrorCode::kUnsupported,
              std::string(key) + " \"" + found + "\" is not supported here; known: " + std::string(wanted));
}

}  // namespace autoglm
