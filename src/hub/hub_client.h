#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "hub/http_client.h"
#include "hub/hub_listing.h"
#include "hub/model_reference.h"

namespace autoglm {

// Where a hub is and who asks.
struct HubEndpoint {
  std::string url;           // without a slash at the end
  std::string bearer_token;  // empty: nobody
};

struct HubOptions {
  HubEndpoint hugging_face;
  HubEndpoint model_scope;
  std::string user_agent;

  // $HF_ENDPOINT, $HF_TOKEN (or the token file that huggingface_hub keeps); $MODELSCOPE_ENDPOINT, $MODELSCOPE_API_TOKEN.
  // Errors: kInvalidArgument for an endpoint that is no http:// or https:// URL.
  static Result<HubOptions> FromEnvironment(std::string user_agent);
  const HubEndpoint& EndpointOf(Hub hub) const { return hub == Hub::kHuggingFace ? hugging_face : model_scope; }
};

// Asks a hub what a repository has, and where it is.
class HubClient {
 public:
  explicit HubClient(HubOptions options);

  // As HttpClient::SetCancelCheck.
  void SetCancelCheck(std::function<bool()> is_cancelled) { http_.SetCancelCheck(std::move(is_cancelled)); }

  // All files of a repository. Errors: kNotFound, kPermissionDenied (the message says how to give a token), kUnavailable where
  // the hub does not answer; as ParseHuggingFaceTree for a hub that answers nonsense.
  Result<std::vector<HubFile>> ListFiles(const ModelReference& reference);
  std::string FileUrl(const ModelReference& reference, const std::string& path) const;
  // As HttpClient::Download, with this hub's token.
  HttpDownload Download(const ModelReference& reference, const std::string& path, int64_t offset, const HttpClient::Sink& sink);
  // What an HTTP status of this hub means. Errors only.
  static Error ErrorOf(int64_t status, const ModelReference& reference, const std::string& what);

 private:
  Result<std::vector<HubFile>> ListHuggingFace(const ModelReference& reference);
  Result<std::vector<HubFile>> ListModelScope(const ModelReference& reference);

  const HubOptions options_;
  HttpClient http_;
};

}  // namespace autoglm
