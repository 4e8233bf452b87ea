#include "openai/generation_params.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "base/priority.h"

namespace autoglm {
namespace {

struct FloatField {
  std::string_view name;
  float SamplingParams::* member;
};
constexpr FloatField kFloatFields[] = {
    {"temperature", &SamplingParams::temperature},
    {"top_p", &SamplingParams::top_p},
    {"min_p", &SamplingParams::min_p},
    {"presence_penalty", &SamplingParams::presence_penalty},
    {"frequency_penalty", &SamplingParams::frequency_penalty},
    {"repetition_penalty", &SamplingParams::repetition_penalty},
};

// What OpenAI or other servers know and an answer would differ without: refused rather than ignored.
constexpr std::string_view kUnsupportedFields[] = {"structured_outputs",
                                                   "guided_json",
                                                   "guided_regex",
                                                   "guided_choice",
                                                   "guided_grammar",
                                                   "grammar",
                                                   "json_schema",
                                                   "stop_token_ids",
                                                   "allowed_token_ids",
                                                   "bad_words",
                                                   "prompt_logprobs",
                                                   "use_beam_search",
                                                   "continue_final_message",
                                                   "web_search_options",
                                                   "audio"};

tl::unexpected<Error> Unsupported(std::string_view field, std::string_view what) {
  return Fail(ErrorCode::kUnsupported, std::string(field) + " " + std::string(what), std::string(field));
}

// Refuses what a float cannot hold; the field's own range is checked by SamplingParams::Validate.
Result<float> ToFloat(const JsonFields& body, std::string_view field, double number) {
  if (std::abs(number) > std::numeric_limits<float>::max()) return body.Refuse(field, "is out of range");
  return static_cast<float>(number);
}

Status ReadFloats(const JsonFields& body, SamplingParams& sampling) {
  for (const FloatField& field : kFloatFields) {
    AUTOGLM_TRY(const std::optional<double> number, body.Number(field.name));
    if (!number) continue;
    AUTOGLM_TRY(sampling.*field.member, ToFloat(body, field.name, *number));
  }
  return {};
}

Status ReadTopK(const JsonFields& body, SamplingParams& sampling) {
  AUTOGLM_TRY(const std::optional<int64_t> top_k, body.Integer("top_k"));
  if (!top_k) return {};
  if (*top_k < -1 || *top_k > std::numeric_limits<int>::max())
    return body.Refuse("top_k", "must be at least 1, or 0 or -1 for all tokens");
  sampling.top_k = *top_k == -1 ? 0 : static_cast<int>(*top_k);
  return {};
}

// max_completion_tokens wins, as it is the newer name.
Result<std::optional<int64_t>> ReadMaxTokens(const JsonFields& body) {
  std::optional<int64_t> max_tokens;
  for (const std::string_view field : {"max_tokens", "max_completion_tokens"}) {
    AUTOGLM_TRY(const std::optional<int64_t> given, body.Integer(field));
    if (!given) continue;
    if (*given < 1) return body.Refuse(field, "must be at least 1, not " + std::to_string(*given));
    max_tokens = given;
  }
  return max_tokens;
}

Status AddStop(const JsonFields& body, const Json& text, SamplingParams& sampling) {
  const auto& stop = text.get_ref<const std::string&>();
  if (stop.size() > kMaxStopBytes) {
    return body.Refuse(
        "stop", "must hold strings of at most " + std::to_string(kMaxStopBytes) + " bytes, not " + std::to_string(stop.size()));
  }
  sampling.stop.push_back(stop);
  return {};
}

Status ReadStop(const JsonFields& body, SamplingParams& sampling) {
  const Json* stop = body.Find("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) return AddStop(body, *stop, sampling);
  if (!stop->is_array())
    return body.Refuse("stop", "must be a string or a list of strings, not " + std::string(JsonTypeName(*stop)));
  for (const Json& text : *stop) {
    if (!text.is_string()) return body.Refuse("stop", "must be a list of strings, and holds " + std::string(JsonTypeName(text)));
    AUTOGLM_TRY_VOID(AddStop(body, text, sampling));
  }
  return {};
}

Status ReadLogitBias(const JsonFields& body, SamplingParams& sampling) {
  AUTOGLM_TRY(const Json* biases, body.Object("logit_bias"));
  if (biases == nullptr) return {};
  for (const auto& [key, value] : biases->items()) {
    TokenId token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size())
      return body.Refuse("logit_bias", "has a key that is no token id: '" + key + "'");
    if (!value.is_number())
      return body.Refuse("logit_bias", "must map token ids to numbers, not to " + std::string(JsonTypeName(value)));
    AUTOGLM_TRY(const float bias, ToFloat(body, "logit_bias", value.get<double>()));
    sampling.logit_bias.emplace_back(token, bias);
  }
  return {};
}

Result<SamplingParams> ReadSampling(const JsonFields& body) {
  SamplingParams sampling;
  AUTOGLM_TRY_VOID(ReadFloats(body, sampling));
  AUTOGLM_TRY_VOID(ReadTopK(body, sampling));
  AUTOGLM_TRY_VOID(ReadStop(body, sampling));
  AUTOGLM_TRY_VOID(ReadLogitBias(body, sampling));
  AUTOGLM_TRY(const std::optional<int64_t> seed, body.Integer("seed"));
  if (seed) sampling.seed = static_cast<uint64_t>(*seed);
  AUTOGLM_TRY(const std::optional<int64_t> min_tokens, body.Integer("min_tokens"));
  sampling.min_tokens = min_tokens.value_or(0);
  AUTOGLM_TRY(const std::optional<bool> ignore_eos, body.Bool("ignore_eos"));
  sampling.ignore_eos = ignore_eos.value_or(false);
  return sampling;
}

Status ReadStreaming(const JsonFields& body, GenerationParams& params) {
  AUTOGLM_TRY(const std::optional<bool> stream, body.Bool("stream"));
  params.stream = stream.value_or(false);
  AUTOGLM_TRY(const Json* options, body.Object("stream_options"));
  if (options == nullptr) return {};
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(*options, "stream_options"));
  AUTOGLM_TRY(const std::optional<bool> include_usage, fields.Bool("include_usage"));
  params.include_usage = include_usage.value_or(false);
  return {};
}

Status RefuseLogprobs(const JsonFields& body) {
  const Json* logprobs = body.Find("logprobs");
  if (logprobs != nullptr && !logprobs->is_boolean() && !logprobs->is_number()) {
    return body.Refuse("logprobs", "must be true, false or a number, not " + std::string(JsonTypeName(*logprobs)));
  }
  AUTOGLM_TRY(const std::optional<int64_t> top_logprobs, body.Integer("top_logprobs"));
  if (IsTruthy(logprobs)) return Unsupported("logprobs", "is not supported; leave it out");
  if (top_logprobs.value_or(0) != 0) return Unsupported("top_logprobs", "is not supported; leave it out");
  return {};
}

Status RefuseModalities(const JsonFields& body) {
  AUTOGLM_TRY(const Json* modalities, body.Array("modalities"));
  if (modalities == nullptr) return {};
  for (const Json& modality : *modalities) {
    if (modality != "text") return Unsupported("modalities", "other than 'text' are not supported");
  }
  return {};
}

Status RefuseResponseFormat(const JsonFields& body) {
  AUTOGLM_TRY(const Json* format, body.Object("response_format"));
  if (format == nullptr) return {};
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(*format, "response_format"));
  AUTOGLM_TRY(const std::optional<std::string> type, fields.String("type"));
  if (!type) return fields.Refuse("type", "is missing");
  if (*type != "text") return Unsupported("response_format", "of type '" + *type + "' is not supported; only 'text' is");
  return {};
}

Status RefuseUnsupported(const JsonFields& body) {
  AUTOGLM_TRY_VOID(RefuseLogprobs(body));
  AUTOGLM_TRY_VOID(RefuseModalities(body));
  AUTOGLM_TRY_VOID(RefuseResponseFormat(body));
  for (const std::string_view field : kUnsupportedFields) {
    if (IsTruthy(body.Find(field))) return Unsupported(field, "is not supported; leave it out");
  }
  return {};
}

Status ReadContinued(const JsonFields& body, GenerationParams& params) {
  AUTOGLM_TRY(params.continuation, ReadContinuation(body));
  if (!params.continuation) return {};
  if (params.num_choices != 1) return body.Refuse("n", "must be 1 where an answer is continued");
  if (!params.stream) return body.Refuse("stream", "must be true where an answer is continued");
  params.sampling.seed = static_cast<uint64_t>(params.continuation->origin.seed);
  return {};
}

}  // namespace

bool IsTruthy(const Json* value) {
  if (value == nullptr || value->is_null()) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0;
  if (value->is_string()) return !value->get_ref<const std::string&>().empty();
  return value->is_object() || !value->empty();
}

Result<GenerationParams> ReadGenerationParams(const JsonFields& body) {
  GenerationParams params;
  AUTOGLM_TRY(std::optional<std::string> model, body.String("model"));
  params.model = std::move(model).value_or("");
  AUTOGLM_TRY_VOID(body.String("user"));
  AUTOGLM_TRY(params.sampling, ReadSampling(body));
  AUTOGLM_TRY(params.max_tokens, ReadMaxTokens(body));
  AUTOGLM_TRY(const std::optional<int64_t> num_choices, body.Integer("n"));
  params.num_choices = num_choices.value_or(1);
  if (params.num_choices < 1 || params.num_choices > kMaxChoicesPerPrompt) {
    return body.Refuse("n", "must be between 1 and " + std::to_string(kMaxChoicesPerPrompt));
  }
  AUTOGLM_TRY(const std::optional<int64_t> priority, body.Integer("priority"));
  params.priority = priority.value_or(0);
  if (params.priority < -kMaxPriority || params.priority > kMaxPriority) {
    return body.Refuse("priority", "must be between -" + std::to_string(kMaxPriority) + " and " + std::to_string(kMaxPriority));
  }
  AUTOGLM_TRY(std::optional<std::string> context, body.String("context"));
  params.context = std::move(context).value_or("");
  AUTOGLM_TRY(std::optional<std::string> service_tier, body.String("service_tier"));
  params.service_tier = std::move(service_tier).value_or("");
  constexpr std::string_view kTiers[] = {"", "auto", "default", "flex", "priority"};
  if (std::ranges::count(kTiers, params.service_tier) == 0) {
    return body.Refuse("service_tier", "must be auto, default, flex or priority");
  }
  AUTOGLM_TRY_VOID(ReadStreaming(body, params));
  AUTOGLM_TRY_VOID(RefuseUnsupported(body));
  AUTOGLM_TRY_VOID(ReadContinued(body, params));

  // Ids beyond the model's vocabulary are found when the model is known. Without max_tokens the answer may be as long as any.
  if (params.max_tokens) params.sampling.max_tokens = *params.max_tokens;
  SamplingParams checked = params.sampling;
  checked.max_tokens = params.max_tokens.value_or(std::numeric_limits<int64_t>::max());
  AUTOGLM_TRY_VOID(checked.Validate(std::numeric_limits<TokenId>::max()));
  return params;
}

}  // namespace autoglm
