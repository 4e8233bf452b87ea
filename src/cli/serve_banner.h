#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"
#include "cli/serve_config.h"
#include "engine/model_registry.h"

namespace autoglm {

// What somebody who has just started the server wants to know.
struct ServiceDescription {
  std::string model;
  std::string architecture;              // empty: the model is not loaded yet, and nothing below is known of it
  std::vector<std::string> more_models;  // names of those that are loaded when they are asked for
  int64_t weight_bytes = 0;
  int64_t num_threads = 0;
  Isa isa = Isa::kScalar;
  Arithmetic arithmetic = Arithmetic::kFast;
  WeightPrecision precision = WeightPrecision::kAsStored;
  int64_t context_length = 0;
  int64_t kv_bytes = 0;
  int64_t kv_tokens = 0;
  int64_t memory_budget_bytes = 0;  // 0: none
  std::string url;                  // as seen from this machine
  bool has_chat_template = true;
};
ServiceDescription DescribeService(const ServeConfig& config, ModelRegistry& registry, uint16_t port);

// A few lines for people, with a curl line to copy.
std::string ServeBanner(const ServiceDescription& service, const Console& console);

std::string ExposedWarning(std::string_view host);
// Why a server that asks nobody for a key does not listen there.
std::string OpenDoorRefusal(std::string_view host);
// "http://127.0.0.1:8080". An address that means all interfaces becomes the loopback one.
std::string LocalUrl(std::string_view host, uint16_t port);

}  // namespace autoglm
