#include "hub/hub_client.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

namespace autoglm {
namespace {

constexpr int64_t kListingBytesMax = 64 << 20;
constexpr int kPagesMax = 100;
constexpr size_t kFilesMax = 100'000;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<std::string> EndpointFrom(const char* variable, std::string_view otherwise) {
  std::string url = Environment(variable);
  if (url.empty()) url = otherwise;
  while (url.ends_with('/')) url.pop_back();
  if (url.starts_with("https://") || url.starts_with("http://")) return url;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("${} must be a URL such as {}, not '{}'", variable, otherwise, url));
}

std::string HuggingFaceToken() {
  std::string token = Environment("HF_TOKEN");
  if (!token.empty()) return token;
  std::string home = Environment("HF_HOME");
  if (home.empty()) home = Environment("HOME") + "/.cache/huggingface";
  std::ifstream file(std::filesystem::path(home) / "token");
  std::getline(file, token);
  return token;
}

// Everything but what may stand in a path or a value as it is (RFC 3986, unreserved).
std::string PercentEncode(std::string_view text, std::string_view also_plain = "") {
  std::string encoded;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                          c == '.' || c == '~' || also_plain.find(c) != std::string_view::npos;
    encoded += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace

Result<HubOptions> HubOptions::FromEnvironment(std::string user_agent) {
  HubOptions options{.user_agent = std::move(user_agent)};
  AUTOGLM_TRY(options.hugging_face.url, EndpointFrom("HF_ENDPOINT", "https://huggingface.co"));
  AUTOGLM_TRY(options.model_scope.url, EndpointFrom("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"));
  options.hugging_face.bearer_token = HuggingFaceToken();
  options.model_scope.bearer_token = Environment("MODELSCOPE_API_TOKEN");
  return options;
}

HubClient::HubClient(HubOptions options) : options_(std::move(options)), http_(options_.user_agent) {}

Result<std::vector<HubFile>> HubClient::ListFiles(const ModelReference& reference) {
  return reference.hub == Hub::kHuggingFace ? ListHuggingFace(reference) : ListModelScope(reference);
}

Result<std::vector<HubFile>> HubClient::ListHuggingFace(const ModelReference& reference) {
  const HubEndpoint& hub = options_.hugging_face;
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true", hub.url, reference.repo_id(), reference.revision);
  std::vector<HubFile> files;
  for (int page = 0; page < kPagesMax && files.size() < kFilesMax; ++page) {
    AUTOGLM_TRY(const HttpDocument document, http_.Get(url, hub.bearer_token, kListingBytesMax));
    if (document.status >= 300) return tl::unexpected<Error>(ErrorOf(document.status, reference, reference.ToString()));
    AUTOGLM_TRY(std::vector<HubFile> more, ParseHuggingFaceTree(document.body));
    files.insert(files.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    if (document.next_url.empty()) return files;
    // The next page is the same hub's: the token goes there, too.
    if (!document.next_url.starts_with(hub.url + "/")) break;
    url = document.next_url;
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("{}: the hub's list of files has no end that could be reached", reference.ToString()));
}

Result<std::vector<HubFile>> HubClient::ListModelScope(const ModelReference& reference) {
  const HubEndpoint& hub = options_.model_scope;
  const std::string url = fmt::format("{}/api/v1/models/{}/repo/files?Revision={}&Recursive=true", hub.url, reference.repo_id(),
                                      PercentEncode(reference.revision));
  AUTOGLM_TRY(const HttpDocument document, http_.Get(url, hub.bearer_token, kListingBytesMax));
  if (document.status >= 300) return tl::unexpected<Error>(ErrorOf(document.status, reference, reference.ToString()));
  return ParseModelScopeFiles(document.body);
}

std::string HubClient::FileUrl(const ModelReference& reference, const std::string& path) const {
  const std::string& hub = options_.EndpointOf(reference.hub).url;
  if (reference.hub == Hub::kHuggingFace) {
    return fmt::format("{}/{}/resolve/{}/{}", hub, reference.repo_id(), reference.revision, PercentEncode(path, "/"));
  }
  return fmt::format("{}/api/v1/models/{}/repo?Revision={}&FilePath={}", hub, reference.repo_id(),
                     PercentEncode(reference.revision), PercentEncode(path));
}

HttpDownload HubClient::Download(const ModelReference& reference, const std::string& path, int64_t offset,
                                 const HttpClient::Sink& sink) {
  return http_.Download(FileUrl(reference, path), options_.EndpointOf(reference.hub).bearer_token, offset, sink);
}

Error HubClient::ErrorOf(int64_t status, const ModelReference& reference, const std::string& what) {
  const std::string_view variable = reference.hub == Hub::kHuggingFace ? "HF_TOKEN" : "MODELSCOPE_API_TOKEN";
  switch (status) {
    case 401:
    case 403:
      return {.code = ErrorCode::kPermissionDenied,
              .message = fmt::format(
                  "{}: the hub wants to know who asks (HTTP {}), or it does not exist: accept the model's terms on its "
                  "page and set ${} to a token",
                  what, status, variable)};
    case 404:
      return {.code = ErrorCode::kNotFound,
              .message = fmt::format("{}: the hub has no such model, revision or file (HTTP 404)", what)};
    default:
      return {.code = ErrorCode::kUnavailable, .message = fmt::format("{}: the hub answered HTTP {}", what, status)};
  }
}

}  // namespace autoglm
