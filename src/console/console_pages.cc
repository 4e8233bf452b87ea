#include "console/console_pages.h"

#include <algorithm>
#include <string>

#include "console/console_assets.h"
#include "web/reply.h"

namespace autoglm {
namespace {

constexpr std::string_view kRoot = "/console";

std::string_view TypeOf(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

}  // namespace

std::optional<http::Response> ConsolePage(std::string_view path) {
  if (!path.starts_with(kRoot)) return std::nullopt;
  path.remove_prefix(kRoot.size());
  if (path.empty()) {
    // So that what the page names is found below it.
    http::Response response = TextReply(308, "", "text/plain");
    response.headers.emplace_back("Location", "/console/");
    return response;
  }
  if (path.front() != '/') return std::nullopt;
  path.remove_prefix(1);
  const std::string_view name = path.empty() ? std::string_view("index.html") : path;
  const auto assets = ConsoleAssets();
  const auto found = std::ranges::find(assets, name, &ConsoleAsset::name);
  if (found == assets.end()) return std::nullopt;
  http::Response response = TextReply(200, std::string(found->content), std::string(TypeOf(name)));
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.headers.emplace_back(
      "Content-Security-Policy",
      "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
      "require-trusted-types-for 'script'");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

}  // namespace autoglm
