#include "discovery/endpoint_slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "json/fields.h"

namespace autoglm::discovery {
namespace {

constexpr int64_t kGoneStatus = 410;

struct ObjectName {
  std::string name;
  std::string resource_version;
};

Result<ObjectName> NameOf(const JsonFields& object) {
  AUTOGLM_TRY(const Json* const metadata, object.Object("metadata"));
  if (metadata == nullptr) return object.Refuse("metadata", "is missing");
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(*metadata, "metadata"));
  AUTOGLM_TRY(auto name, fields.String("name"));
  AUTOGLM_TRY(auto version, fields.String("resourceVersion"));
  return ObjectName{.name = std::move(name).value_or(""), .resource_version = std::move(version).value_or("")};
}

// The port of this name, or the first; nullopt where there is none that HTTP can use.
Result<std::optional<uint16_t>> PortOf(const JsonFields& slice, std::string_view name) {
  AUTOGLM_TRY(const Json* const ports, slice.Array("ports"));
  if (ports == nullptr) return std::nullopt;
  for (const Json& item : *ports) {
    AUTOGLM_TRY(const JsonFields port, JsonFields::Of(item, "ports"));
    AUTOGLM_TRY(const auto own_name, port.String("name"));
    AUTOGLM_TRY(const auto protocol, port.String("protocol"));
    AUTOGLM_TRY(const auto number, port.Integer("port"));
    if (protocol.value_or("TCP") != "TCP" || !number || *number < 1 || *number > 65'535) continue;
    if (name.empty() || own_name.value_or("") == name) return static_cast<uint16_t>(*number);
  }
  return std::nullopt;
}

struct Conditions {
  bool is_ready = true;
  bool is_serving = true;
  bool is_terminating = false;
};

// What is not said means ready, and not terminating (the API's own rule).
Result<Conditions> ConditionsOf(const JsonFields& endpoint) {
  AUTOGLM_TRY(const Json* const object, endpoint.Object("conditions"));
  if (object == nullptr) return Conditions{};
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(*object, "conditions"));
  AUTOGLM_TRY(const auto ready, fields.Bool("ready"));
  AUTOGLM_TRY(const auto serving, fields.Bool("serving"));
  AUTOGLM_TRY(const auto terminating, fields.Bool("terminating"));
  return Conditions{.is_ready = ready.value_or(true),
                    .is_serving = serving.value_or(ready.value_or(true)),
                    .is_terminating = terminating.value_or(false)};
}

}  // namespace

Status EndpointSlices::Replace(const Json& list) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(list, "EndpointSliceList"));
  AUTOGLM_TRY(const Json* const items, fields.Array("items"));
  AUTOGLM_TRY(ObjectName name, NameOf(fields));
  if (name.resource_version.empty()) return fields.Refuse("metadata.resourceVersion", "is missing");
  EndpointSlices fresh(port_name_);
  if (items != nullptr) {
    for (const Json& item : *items) AUTOGLM_TRY_VOID(fresh.Take(item));
  }
  slices_ = std::move(fresh.slices_);
  resource_version_ = std::move(name.resource_version);
  return {};
}

Result<EndpointSlices::WatchEvent> EndpointSlices::Apply(const Json& event) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(event, "watch event"));
  AUTOGLM_TRY(const auto type, fields.String("type"));
  AUTOGLM_TRY(const Json* const object, fields.Object("object"));
  if (!type || object == nullptr) return fields.Refuse("type", "or object is missing");
  AUTOGLM_TRY(const JsonFields object_fields, JsonFields::Of(*object, "object"));
  if (*type == "ERROR") {
    AUTOGLM_TRY(const auto code, object_fields.Integer("code"));
    if (code == kGoneStatus) return WatchEvent::kGone;
    AUTOGLM_TRY(const auto message, object_fields.String("message"));
    return Fail(ErrorCode::kUnavailable, message.value_or("an error without a message"));
  }
  AUTOGLM_TRY(ObjectName name, NameOf(object_fields));
  WatchEvent what = WatchEvent::kBookmark;
  if (*type == "ADDED" || *type == "MODIFIED") {
    AUTOGLM_TRY_VOID(Take(*object));
    what = WatchEvent::kChange;
  } else if (*type == "DELETED") {
    slices_.erase(name.name);
    what = WatchEvent::kChange;
  }
  if (!name.resource_version.empty()) resource_version_ = std::move(name.resource_version);
  return what;
}

Status EndpointSlices::Take(const Json& object) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(object, "EndpointSlice"));
  AUTOGLM_TRY(ObjectName name, NameOf(fields));
  if (name.name.empty()) return fields.Refuse("metadata.name", "is missing");
  AUTOGLM_TRY(Slice slice, ReadSlice(object));
  if (slices_.size() >= kMaxSlices && !slices_.contains(name.name)) {
    return Fail(ErrorCode::kResourceExhausted, fmt::format("the service has more than {} EndpointSlices", kMaxSlices));
  }
  slices_[std::move(name.name)] = std::move(slice);
  return {};
}

Result<EndpointSlices::Slice> EndpointSlices::ReadSlice(const Json& object) const {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(object, "EndpointSlice"));
  AUTOGLM_TRY(const auto family, fields.String("addressType"));
  AUTOGLM_TRY(const auto port, PortOf(fields, port_name_));
  AUTOGLM_TRY(const Json* const endpoints, fields.Array("endpoints"));
  Slice slice{.is_ipv6 = family == "IPv6"};
  if (!port || endpoints == nullptr) return slice;
  for (const Json& item : *endpoints) {
    AUTOGLM_TRY(const JsonFields endpoint, JsonFields::Of(item, "endpoints"));
    AUTOGLM_TRY(const Json* const addresses, endpoint.Array("addresses"));
    AUTOGLM_TRY(const Conditions conditions, ConditionsOf(endpoint));
    AUTOGLM_TRY(auto zone, endpoint.String("zone"));
    // All of one endpoint's addresses lead to the same pod.
    if (addresses == nullptr || addresses->empty() || !addresses->front().is_string()) continue;
    if (slice.endpoints.size() >= kMaxFound) break;
    slice.endpoints.push_back(
        {.place = {.host = addresses->front().get<std::string>(), .port = *port, .region = std::move(zone).value_or("")},
         .is_ready = conditions.is_ready,
         .is_ending = conditions.is_terminating && conditions.is_serving});
  }
  return slice;
}

std::vector<FoundEndpoint> EndpointSlices::Endpoints() const {
  std::vector<FoundEndpoint> found;
  const auto gather = [&](bool Endpoint::* condition, bool is_ipv6) {
    for (const auto& [name, slice] : slices_) {
      if (slice.is_ipv6 != is_ipv6) continue;
      for (const Endpoint& endpoint : slice.endpoints) {
        if (endpoint.*condition) found.push_back(endpoint.place);
      }
    }
  };
  for (const auto condition : {&Endpoint::is_ready, &Endpoint::is_ending}) {
    for (const bool is_ipv6 : {false, true}) {
      if (found.empty()) gather(condition, is_ipv6);
    }
  }
  return found;
}

}  // namespace autoglm::discovery
