#pragma once

#include <functional>
#include <memory>

#include "auth/authenticator.h"
#include "base/result.h"
#include "guard/jwks_fetcher.h"
#include "http/event_loop.h"

namespace autoglm::gateway {

// Who requests come from, with keys of tokens that are kept fresh where they come from a URL. Any thread; `background` runs for
// as long as this lives.
class TokenKeys {
 public:
  static Result<std::shared_ptr<TokenKeys>> Create(const AuthOptions& options, http::LoopThread& background, const Clock& clock);
  ~TokenKeys();
  TokenKeys(const TokenKeys&) = delete;
  TokenKeys& operator=(const TokenKeys&) = delete;

  const Authenticator& authenticator() const { return *authenticator_; }

  // As Authenticator's. Where the token names a key that is being fetched, nullopt: `retry` comes on `loop`'s thread, once.
  std::optional<Result<std::shared_ptr<const Principal>>> Authenticate(std::string_view authorization, std::string_view api_key,
                                                                       http::EventLoop& loop, std::function<void()> retry) const;

 private:
  explicit TokenKeys(http::LoopThread& background) : background_(background) {}

  http::LoopThread& background_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<guard::JwksFetcher> fetcher_;  // lives on the background thread; nullptr: nothing is fetched
};

}  // namespace autoglm::gateway
