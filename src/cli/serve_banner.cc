#include "cli/serve_banner.h"

#include <fmt/format.h>

#include "cli/open_model.h"
#include "cli/option_values.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "engine/loaded_model.h"

namespace autoglm {
namespace {

void DescribeModel(const Engine& engine, ServiceDescription& service) {
  const LoadedModel& model = engine.model();
  const int64_t num_blocks = engine.stats().blocks.num_blocks;
  service.architecture = model.lm().config().architecture;
  service.weight_bytes = model.lm().weight_bytes();
  service.context_length = engine.context_length();
  service.kv_bytes = num_blocks * model.lm().kv_layout().block_bytes();
  service.kv_tokens = num_blocks * kBlockSizeTokens;
  service.has_chat_template = model.chat_template() != nullptr;
}

}  // namespace

ServiceDescription DescribeService(const ServeConfig& config, ModelRegistry& registry, uint16_t port) {
  const std::vector<ModelStatus> models = registry.Models();
  ServiceDescription service{.model = models.front().name,
                             .num_threads = NumThreads(config.threads),
                             .isa = config.isa,
                             .arithmetic = config.arithmetic,
                             .precision = config.models.front().precision.value_or(config.precision),
                             .memory_budget_bytes = registry.memory_budget_bytes(),
                             .url = LocalUrl(config.host, port)};
  for (size_t i = 1; i < models.size(); ++i) service.more_models.push_back(models[i].name);
  if (models.front().state != ModelState::kLoaded) return service;
  registry.Acquire(service.model, [&service](const Result<ModelRegistry::Lease>& lease) {
    if (lease) DescribeModel(**lease, service);
  });
  return service;
}

namespace {

// A path and a body that the model answers.
std::string CurlArguments(const ServiceDescription& service) {
  const std::string_view path = service.has_chat_template ? "/v1/chat/completions" : "/v1/completions";
  const std::string_view prompt = service.has_chat_template ? R"("messages": [{"role": "user", "content": "Name three colors."}])"
                                                            : R"("prompt": "Three colors are")";
  return fmt::format(R"({}{} -H 'Content-Type: application/json' -d '{{"model": "default", {}}}')", service.url, path, prompt);
}

}  // namespace

std::string ServeBanner(const ServiceDescription& service, const Console& console) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (service.architecture.empty()) {
    rows.emplace_back("model", service.model + " (loaded when it is asked for)");
  } else {
    rows.emplace_back("model",
                      fmt::format("{} ({}, {}{})", service.model, service.architecture, FormatBytes(service.weight_bytes),
                                  service.precision == WeightPrecision::kInt8 ? ", int8" : ""));
  }
  for (const std::string& model : service.more_models) rows.emplace_back("", model + " (loaded when it is asked for)");
  rows.emplace_back("compute",
                    fmt::format("{} thread{}, {}, {} arithmetic", service.num_threads, service.num_threads == 1 ? "" : "s",
                                IsaName(service.isa), ArithmeticName(service.arithmetic)));
  if (!service.architecture.empty()) {
    rows.emplace_back("context", fmt::format("{} tokens", service.context_length));
    rows.emplace_back("KV memory", fmt::format("{} for {} tokens", FormatBytes(service.kv_bytes), service.kv_tokens));
  }
  if (!service.more_models.empty() && service.memory_budget_bytes > 0) {
    rows.emplace_back("budget", FormatBytes(service.memory_budget_bytes) + " for all models");
  }
  const std::string table = FormatTable(rows);
  return fmt::format(
      "{}autoglm {}{}\n{}\n"
      "Listening on {}{}{}\n\n"
      "  curl {}\n\n",
      Bold(console), Version(), ResetStyle(console), table, Bold(console), service.url, ResetStyle(console),
      CurlArguments(service));
}

std::string ExposedWarning(std::string_view host) {
  return fmt::format("autoglm: warning: {} can be reached from other machines, and whoever reaches it can use the model\n", host);
}

std::string OpenDoorRefusal(std::string_view host) {
  return fmt::format(
      "{} can be reached from other machines, and without keys whoever reaches it could use the model. Make a key with "
      "'autoglm keys create', or say --unauthenticated anywhere",
      host);
}

std::string LocalUrl(std::string_view host, uint16_t port) {
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  return is_ipv6 ? fmt::format("http://[{}]:{}", host, port) : fmt::format("http://{}:{}", host, port);
}

}  // namespace autoglm
