#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/fields.h"
#include "models/model_config.h"
#include "weights/gguf_file.h"

namespace autoglm {

// Bounds far above any published model: what lies beyond is a damaged or hostile file.
inline constexpr int64_t kLayersMax = 1024;
inline constexpr int64_t kWidthMax = 1 << 20;
inline constexpr int64_t kHeadDimMax = 1024;
inline constexpr int64_t kVocabMax = 1 << 24;
inline constexpr int64_t kContextMax = 1 << 24;
inline constexpr int64_t kExpertsMax = 4096;

// A GGUF file's metadata under its architecture's prefix: "block_count" stands for "llama.block_count".
class GgufKeys {
 public:
  GgufKeys(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  const GgufFile& file() const { return file_; }
  bool Has(std::string_view key) const;
  // Errors: kCorruptFile where absent, of another kind, or outside [minimum, maximum].
  Result<int64_t> Integer(std::string_view key, int64_t minimum, int64_t maximum) const;
  Result<int64_t> IntegerOr(std::string_view key, int64_t otherwise, int64_t minimum, int64_t maximum) const;
  Result<double> Float(std::string_view key) const;
  Result<double> FloatOr(std::string_view key, double otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  std::string Name(std::string_view key) const { return prefix_ + std::string(key); }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

// The fields of a config.json. Errors are kCorruptFile and name the field.
class ConfigFields {
 public:
  explicit ConfigFields(JsonFields fields) : fields_(std::move(fields)) {}

  bool Has(std::string_view name) const { return fields_.Find(name) != nullptr; }
  Result<int64_t> Integer(std::string_view name, int64_t minimum, int64_t maximum) const;
  Result<int64_t> IntegerOr(std::string_view name, int64_t otherwise, int64_t minimum, int64_t maximum) const;
  Result<double> Number(std::string_view name) const;
  Result<double> NumberOr(std::string_view name, double otherwise) const;
  Result<bool> BoolOr(std::string_view name, bool otherwise) const;
  // Empty where absent.
  Result<std::string> String(std::string_view name) const;
  // Errors: kCorruptFile where absent or no object.
  Result<ConfigFields> Object(std::string_view name) const;
  const JsonFields& fields() const { return fields_; }

 private:
  JsonFields fields_;
};

// RoPE as a config says it: transformers 5's rope_parameters, or rope_theta, partial_rotary_factor and rope_scaling before it.
// `layer_type` picks one where rope_parameters has one for each type of layer. `partial_otherwise`: share of a head that turns
// where the config does not say.
Result<RopeConfig> ReadRope(const ConfigFields& fields, const ModelConfig& config, std::string_view layer_type,
                            double partial_otherwise);

// eos_token_id: an integer or a list of them; empty where absent. Errors: kCorruptFile.
Result<std::vector<int64_t>> ReadEosTokens(const ConfigFields& fields);
// The same of a whole file, such as generation_config.json.
Result<std::vector<int64_t>> ReadEosTokens(const Json& config);

}  // namespace autoglm
