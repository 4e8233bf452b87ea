#include "models/config_reader.h"

#include <cmath>
#include <utility>

namespace autoglm {
namespace {

tl::unexpected<Error> OutOfRange(const std::string& name, int64_t value, int64_t minimum, int64_t maximum) {
  return Fail(ErrorCode::kCorruptFile,
              name + " is " + std::to_string(value) + ", expected " + std::to_string(minimum) + " to " + std::to_string(maximum));
}

tl::unexpected<Error> Missing(const std::string& name) { return Fail(ErrorCode::kCorruptFile, name + " is missing"); }

// A field of the wrong kind is the file's fault, not a caller's.
template <typename T>
Result<T> FromFile(Result<T> value) {
  if (!value) return Fail(ErrorCode::kCorruptFile, value.error().message);
  return value;
}

Status ReadLlama3(const ConfigFields& fields, const ModelConfig& config, RopeConfig& rope) {
  rope.scaling = RopeConfig::Scaling::kLlama3;
  AUTOGLM_TRY(rope.low_freq_factor, fields.NumberOr("low_freq_factor", 1));
  AUTOGLM_TRY(rope.high_freq_factor, fields.NumberOr("high_freq_factor", 4));
  AUTOGLM_TRY(rope.original_context, fields.IntegerOr("original_max_position_embeddings", config.context_length, 1, kContextMax));
  if (!(rope.low_freq_factor > 0 && rope.high_freq_factor > rope.low_freq_factor)) {
    return Fail(ErrorCode::kCorruptFile, "rope scaling: high_freq_factor must be above low_freq_factor, and that above 0");
  }
  return {};
}

Status ReadScaling(const ConfigFields& fields, const ModelConfig& config, RopeConfig& rope) {
  AUTOGLM_TRY(std::string type, fields.String("rope_type"));
  if (type.empty()) {
    AUTOGLM_TRY(type, fields.String("type"));
  }
  AUTOGLM_TRY(rope.factor, fields.NumberOr("factor", 1));
  if (!(rope.factor > 0 && std::isfinite(rope.factor)))
    return Fail(ErrorCode::kCorruptFile, "rope scaling: factor is not positive");
  // Multimodal positions of plain text are all equal: plain RoPE.
  if (type.empty() || type == "default" || type == "mrope") return {};
  if (type == "llama3") return ReadLlama3(fields, config, rope);
  if (type == "linear") {
    rope.scaling = RopeConfig::Scaling::kLinear;
    return {};
  }
  return Fail(ErrorCode::kUnsupported, "rope scaling \"" + type + "\" is not supported; known: default, linear, llama3");
}

Status SetDims(double partial, const ModelConfig& config, RopeConfig& rope) {
  if (!(partial > 0 && partial <= 1)) return Fail(ErrorCode::kCorruptFile, "partial_rotary_factor is not within (0, 1]");
  rope.dims = static_cast<int64_t>(static_cast<double>(config.head_dim) * partial);
  return {};
}

}  // namespace

bool GgufKeys::Has(std::string_view key) const { return file_.metadata().contains(Name(key)); }

Result<int64_t> GgufKeys::Integer(std::string_view key, int64_t minimum, int64_t maximum) const {
  AUTOGLM_TRY(const int64_t value, file_.Integer(Name(key)));
  if (value < minimum || value > maximum) return OutOfRange(Name(key), value, minimum, maximum);
  return value;
}

Result<int64_t> GgufKeys::IntegerOr(std::string_view key, int64_t otherwise, int64_t minimum, int64_t maximum) const {
  if (!Has(key)) return otherwise;
  return Integer(key, minimum, maximum);
}

Result<double> GgufKeys::Float(std::string_view key) const { return file_.Float(Name(key)); }

Result<double> GgufKeys::FloatOr(std::string_view key, double otherwise) const {
  if (!Has(key)) return otherwise;
  return Float(key);
}

Result<bool> GgufKeys::BoolOr(std::string_view key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  return file_.Bool(Name(key));
}

Result<int64_t> ConfigFields::Integer(std::string_view name, int64_t minimum, int64_t maximum) const {
  AUTOGLM_TRY(const std::optional<int64_t> value, FromFile(fields_.Integer(name)));
  if (!value) return Missing(fields_.Path(name));
  if (*value < minimum || *value > maximum) return OutOfRange(fields_.Path(name), *value, minimum, maximum);
  return *value;
}

Result<int64_t> ConfigFields::IntegerOr(std::string_view name, int64_t otherwise, int64_t minimum, int64_t maximum) const {
  if (!Has(name)) return otherwise;
  return Integer(name, minimum, maximum);
}

Result<double> ConfigFields::Number(std::string_view name) const {
  AUTOGLM_TRY(const std::optional<double> value, FromFile(fields_.Number(name)));
  if (!value) return Missing(fields_.Path(name));
  return *value;
}

Result<double> ConfigFields::NumberOr(std::string_view name, double otherwise) const {
  if (!Has(name)) return otherwise;
  return Number(name);
}

Result<bool> ConfigFields::BoolOr(std::string_view name, bool otherwise) const {
  AUTOGLM_TRY(const std::optional<bool> value, FromFile(fields_.Bool(name)));
  return value.value_or(otherwise);
}

Result<std::string> ConfigFields::String(std::string_view name) const {
  AUTOGLM_TRY(std::optional<std::string> value, FromFile(fields_.String(name)));
  return std::move(value).value_or(std::string());
}

Result<ConfigFields> ConfigFields::Object(std::string_view name) const {
  AUTOGLM_TRY(const Json* object, FromFile(fields_.Object(name)));
  if (object == nullptr) return Missing(fields_.Path(name));
  AUTOGLM_TRY(JsonFields fields, FromFile(JsonFields::Of(*object, fields_.Path(name))));
  return ConfigFields(std::move(fields));
}

Result<RopeConfig> ReadRope(const ConfigFields& fields, const ModelConfig& config, std::string_view layer_type,
                            double partial_otherwise) {
  RopeConfig rope;
  rope.pairing = config.rope.pairing;
  if (fields.Has("rope_parameters")) {
    AUTOGLM_TRY(ConfigFields parameters, fields.Object("rope_parameters"));
    if (parameters.Has(layer_type)) {
      AUTOGLM_TRY(parameters, parameters.Object(layer_type));
    }
    AUTOGLM_TRY(rope.theta, parameters.NumberOr("rope_theta", 10000));
    AUTOGLM_TRY(const double partial, parameters.NumberOr("partial_rotary_factor", partial_otherwise));
    AUTOGLM_TRY_VOID(SetDims(partial, config, rope));
    AUTOGLM_TRY_VOID(ReadScaling(parameters, config, rope));
    return rope;
  }
  AUTOGLM_TRY(rope.theta, fields.NumberOr("rope_theta", 10000));
  AUTOGLM_TRY(const double partial, fields.NumberOr("partial_rotary_factor", partial_otherwise));
  AUTOGLM_TRY_VOID(SetDims(partial, config, rope));
  if (fields.Has("rope_scaling")) {
    AUTOGLM_TRY(const ConfigFields scaling, fields.Object("rope_scaling"));
    AUTOGLM_TRY_VOID(ReadScaling(scaling, config, rope));
  }
  return rope;
}

Result<std::vector<int64_t>> ReadEosTokens(const Json& config) {
  AUTOGLM_TRY(JsonFields fields, FromFile(JsonFields::Of(config)));
  return ReadEosTokens(ConfigFields(std::move(fields)));
}

Result<std::vector<int64_t>> ReadEosTokens(const ConfigFields& fields) {
  const Json* eos = fields.fields().Find("eos_token_id");
  if (eos == nullptr) return std::vector<int64_t>();
  std::vector<int64_t> tokens;
  for (const Json& item : eos->is_array() ? *eos : Json::array({*eos})) {
    const std::optional<int64_t> token = JsonInteger(item);
    if (!token || *token < 0 || *token >= kVocabMax)
      return Fail(ErrorCode::kCorruptFile, "eos_token_id is not a token or a list of tokens");
    tokens.push_back(*token);
  }
  return tokens;
}

}  // namespace autoglm
