#include "cli/serve_banner.h"

#include <fmt/format.h>

#include "cli/open_model.h"
#include "cli/option_values.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "engine/loaded_model.h"

namespace autoglm {

ServiceDescription DescribeService(const ServeConfig& config, const Engine& engine, uint16_t port) {
  const LoadedModel& model = engine.model();
  const int64_t num_blocks = engine.stats().blocks.num_blocks;
  return {.model = config.served_model_names.empty() ? model.name() : config.served_model_names.front(),
          .architecture = model.lm().config().architecture,
          .weight_bytes = model.lm().weight_bytes(),
          .num_threads = NumThreads(config.threads),
          .isa = config.isa,
          .arithmetic = config.arithmetic,
          .precision = config.precision,
          .context_length = engine.context_length(),
          .kv_bytes = num_blocks * model.lm().kv_layout().block_bytes(),
          .kv_tokens = num_blocks * kBlockSizeTokens,
          .url = LocalUrl(config.host, port),
          .has_chat_template = model.chat_template() != nullptr};
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
  const std::string table = FormatTable({
      {"model", fmt::format("{} ({}, {}{})", service.model, service.architecture, FormatBytes(service.weight_bytes),
                            service.precision == WeightPrecision::kInt8 ? ", int8" : "")},
      {"compute", fmt::format("{} thread{}, {}, {} arithmetic", service.num_threads, service.num_threads == 1 ? "" : "s",
                              IsaName(service.isa), ArithmeticName(service.arithmetic))},
      {"context", fmt::format("{} tokens", service.context_length)},
      {"KV memory", fmt::format("{} for {} tokens", FormatBytes(service.kv_bytes), service.kv_tokens)},
  });
  return fmt::format(
      "{}autoglm {}{}\n{}\n"
      "Listening on {}{}{}\n\n"
      "  curl {}\n\n",
      Bold(console), Version(), ResetStyle(console), table, Bold(console), service.url, ResetStyle(console),
      CurlArguments(service));
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // A name such as 127.example.org is no address.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string ExposedWarning(std::string_view host) {
  return fmt::format("autoglm: warning: {} can be reached from other machines, and whoever reaches it can use the model\n", host);
}

std::string LocalUrl(std::string_view host, uint16_t port) {
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  return is_ipv6 ? fmt::format("http://[{}]:{}", host, port) : fmt::format("http://{}:{}", host, port);
}

}  // namespace autoglm
