#include "gateway/token_keys.h"

#include <utility>

#include "telemetry/log.h"

namespace autoglm::gateway {
namespace {

// Whether the token that this thread looks at names a key that is not known.
thread_local bool names_unknown_key = false;

void LogKeyProblem(const Error& error) {
  Log(LogLevel::kError, "keys_unreadable", {{"problem", std::string_view(error.message)}});
}

}  // namespace

Result<std::shared_ptr<TokenKeys>> TokenKeys::Create(const AuthOptions& options, http::LoopThread& background,
                                                     const Clock& clock) {
  std::shared_ptr<TokenKeys> keys(new TokenKeys(background));
  AUTOGLM_TRY(
      keys->authenticator_,
      Authenticator::Create(options, clock, {.on_problem = LogKeyProblem, .on_unknown_key = [] { names_unknown_key = true; }}));
  if (!options.jwt || options.jwt->jwks_url.empty()) return keys;
  Status status;
  background.RunAndWait([&] {
    auto fetcher = guard::JwksFetcher::Start(
        background.loop(), {.url = options.jwt->jwks_url, .refresh = options.jwt->jwks_refresh}, clock,
        [jwt = keys->authenticator_->jwt()](std::string_view jwks) { return jwt->SetKeys(jwks); }, {.on_problem = LogKeyProblem});
    if (fetcher) {
      keys->fetcher_ = *std::move(fetcher);
    } else {
      status = tl::unexpected<Error>(fetcher.error());
    }
  });
  AUTOGLM_TRY_VOID(status);
  return keys;
}

TokenKeys::~TokenKeys() {
  if (fetcher_ == nullptr) return;
  // It calls the authenticator from there, so both go there together.
  background_.loop().Post(
      [fetcher = std::shared_ptr<guard::JwksFetcher>(std::move(fetcher_)),
       authenticator = std::shared_ptr<Authenticator>(std::move(authenticator_))]() mutable { fetcher.reset(); });
}

std::optional<Result<std::shared_ptr<const Principal>>> TokenKeys::Authenticate(std::string_view authorization,
                                                                                std::string_view api_key, http::EventLoop& loop,
                                                                                std::function<void()> retry) const {
  names_unknown_key = false;
  auto principal = authenticator_->Authenticate(authorization, api_key);
  if (!principal && names_unknown_key && fetcher_ != nullptr && retry && fetcher_->FetchForUnknownKey(loop, std::move(retry))) {
    return std::nullopt;
  }
  return principal;
}

}  // namespace autoglm::gateway
