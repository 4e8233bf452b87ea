#include "discovery/registration.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "http/client.h"
#include "json/fields.h"

namespace autoglm::discovery {
namespace {

constexpr JsonLimits kLimits = {.max_bytes = 64 << 10, .max_depth = 8, .max_members = 256, .max_values = 1024};
constexpr std::string_view kUnknownModel = "unknown";  // SGLang's word for none
constexpr int64_t kMaxPriority = 1'000'000;
constexpr double kUsualPriority = 50;

std::string UuidOf(std::string_view url) {
  const XXH128_hash_t hash = XXH3_128bits(url.data(), url.size());
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", hash.high64 >> 32, hash.high64 >> 16 & 0xffff, hash.high64 & 0xffff,
                     hash.low64 >> 48, hash.low64 & 0xffff'ffff'ffff);
}

Status ReadModels(const JsonFields& fields, Registration& registration) {
  AUTOGLM_TRY(const auto model_id, fields.String("model_id"));
  if (model_id && !model_id->empty() && *model_id != kUnknownModel) registration.models.push_back(*model_id);
  AUTOGLM_TRY(const Json* const models, fields.Array("models"));
  if (models == nullptr) return {};
  for (size_t i = 0; i < models->size(); ++i) {
    AUTOGLM_TRY(const JsonFields model, JsonFields::Of((*models)[i], fmt::format("models[{}]", i)));
    AUTOGLM_TRY(auto id, model.String("id"));
    if (!id || id->empty()) return model.Refuse("id", "is missing");
    if (std::ranges::find(registration.models, *id) == registration.models.end()) registration.models.push_back(*std::move(id));
  }
  return {};
}

Status ReadShare(const JsonFields& fields, Registration& registration) {
  AUTOGLM_TRY(const auto priority, fields.Integer("priority"));
  registration.priority = priority.value_or(registration.priority);
  if (registration.priority < 0 || registration.priority > kMaxPriority) {
    return fields.Refuse("priority", fmt::format("must be 0 to {}", kMaxPriority));
  }
  AUTOGLM_TRY(const auto cost, fields.Number("cost"));
  registration.cost = cost.value_or(registration.cost);
  if (!(registration.cost > 0)) return fields.Refuse("cost", "must be above 0");
  return {};
}

Status ReadLabels(const JsonFields& fields, Registration& registration) {
  AUTOGLM_TRY(const Json* const labels, fields.Object("labels"));
  if (labels == nullptr) return {};
  for (const auto& [name, value] : labels->items()) {
    if (!value.is_string()) return fields.Refuse("labels", "must have strings as values");
    registration.labels[name] = value.get<std::string>();
  }
  return {};
}

gateway::EngineKind EngineOf(std::string_view runtime) {
  using gateway::EngineKind;
  for (const auto& [name, kind] : {std::pair{"sglang", EngineKind::kSglang}, std::pair{"vllm", EngineKind::kVllm},
                                   std::pair{"autoglm", EngineKind::kAutoglm}, std::pair{"llamacpp", EngineKind::kLlamaCpp}}) {
    if (runtime == name) return kind;
  }
  return EngineKind::kUnknown;
}

}  // namespace

Result<Registration> ParseRegistration(std::string_view body) {
  AUTOGLM_TRY(const Json json, ParseJson(body, kLimits));
  return ReadRegistration(json);
}

Result<Registration> ReadRegistration(const Json& body) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(body));
  AUTOGLM_TRY(const auto url, fields.String("url"));
  if (!url) return fields.Refuse("url", "is missing");
  const Result<http::Origin> origin = http::Origin::Parse(*url);
  if (!origin) return Fail(ErrorCode::kInvalidArgument, "url: " + origin.error().message, "url");
  Registration registration;
  registration.url = (http::Origin::IsHttps(*url) ? "https://" : "http://") + origin->authority;
  registration.id = UuidOf(registration.url);

  AUTOGLM_TRY(const auto worker_type, fields.String("worker_type"));
  if (worker_type.value_or("regular") != "regular") {
    return Fail(ErrorCode::kUnsupported, "worker_type must be regular: prefill and decode are not split here", "worker_type");
  }
  AUTOGLM_TRY_VOID(ReadModels(fields, registration));
  AUTOGLM_TRY_VOID(ReadShare(fields, registration));
  AUTOGLM_TRY_VOID(ReadLabels(fields, registration));
  AUTOGLM_TRY(const auto api_key, fields.String("api_key"));
  registration.api_key = api_key.value_or("");
  AUTOGLM_TRY(const auto runtime_type, fields.String("runtime_type"));  // since 2026; "runtime" before
  AUTOGLM_TRY(const auto runtime, fields.String("runtime"));
  registration.runtime = runtime_type.value_or(runtime.value_or(""));
  return registration;
}

Json BodyOf(const Registration& registration) {
  Json models = Json::array();
  for (const std::string& model : registration.models) models.push_back({{"id", model}});
  Json body = {{"url", registration.url},
               {"models", std::move(models)},
               {"priority", registration.priority},
               {"cost", registration.cost},
               {"labels", registration.labels}};
  if (!registration.runtime.empty()) body["runtime_type"] = registration.runtime;
  if (!registration.api_key.empty()) body["api_key"] = registration.api_key;
  return body;
}

gateway::UpstreamConfig ConfigOf(const Registration& registration, const gateway::UpstreamConfig& like) {
  constexpr double kLeastWeight = 0.01;
  constexpr double kMostWeight = 100;
  gateway::UpstreamConfig config = like;
  config.url = registration.url;
  config.spec.name = registration.url;
  if (!http::Origin::IsHttps(registration.url)) config.tls.reset();  // what `like` says is for others
  const double share = static_cast<double>(registration.priority) / kUsualPriority / registration.cost;
  config.spec.weight = like.spec.weight * std::clamp(share, kLeastWeight, kMostWeight);
  if (!registration.models.empty()) config.spec.models = registration.models;
  if (!registration.api_key.empty()) config.api_key = registration.api_key;
  if (!registration.runtime.empty()) config.engine = EngineOf(registration.runtime);
  for (const auto& [label, field] : {std::pair{"region", &config.spec.region}, std::pair{"kv_events", &config.kv_events},
                                     std::pair{"kv_events_replay", &config.kv_events_replay}}) {
    if (const auto found = registration.labels.find(label); found != registration.labels.end()) *field = found->second;
  }
  gateway::FillHost(config);
  return config;
}

// --- answers

Json WorkerJson(const Registration& registration, const WorkerState& state) {
  Json worker = {{"id", registration.id},
                 {"url", registration.url},
                 {"model_id", registration.models.empty() ? kUnknownModel : std::string_view(registration.models.front())},
                 {"priority", registration.priority},
                 {"cost", registration.cost},
                 {"worker_type", "regular"},
                 {"is_healthy", state.is_healthy},
                 {"load", state.num_inflight},
                 {"connection_mode", "http"}};
  if (!registration.runtime.empty()) worker["runtime_type"] = registration.runtime;
  if (!registration.labels.empty()) worker["metadata"] = registration.labels;
  return worker;
}

Json WorkerListJson(std::span<const Registration> registrations,
                    const std::function<WorkerState(const std::string& url)>& state_of) {
  Json workers = Json::array();
  for (const Registration& registration : registrations) workers.push_back(WorkerJson(registration, state_of(registration.url)));
  return {{"workers", std::move(workers)},
          {"total", registrations.size()},
          {"stats", {{"prefill_count", 0}, {"decode_count", 0}, {"regular_count", registrations.size()}}}};
}

Json RegisteredJson(const Registration& registration) {
  return {{"status", "accepted"},
          {"worker_id", registration.id},
          {"url", registration.url},
          {"location", "/workers/" + registration.id},
          {"message", "The worker is registered."}};
}

Json RemovedJson(const Registration& registration) {
  return {{"status", "accepted"}, {"worker_id", registration.id}, {"message", "The worker gets no more requests."}};
}

Json WorkerErrorJson(const Error& error) {
  std::string_view code = "INTERNAL_SERVER_ERROR";
  if (error.code == ErrorCode::kNotFound) code = "WORKER_NOT_FOUND";
  if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kUnsupported) code = "BAD_REQUEST";
  return {{"error", error.message}, {"code", code}};
}

}  // namespace autoglm::discovery
