#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "guard/usage_limits.h"
#include "http/client.h"
#include "http/event_loop.h"
#include "http/tls.h"

namespace autoglm::guard {

struct JwksFetcherOptions {
  std::string url;
  std::chrono::milliseconds refresh{300'000};  // from the end of a fetch to the next
  std::chrono::milliseconds retry{5'000};      // after one that failed, where that is sooner
  // Between fetches for keys that are not known. Somebody may send any number of tokens with names of keys thought up.
  std::chrono::milliseconds unknown_interval{5'000};
  http::TlsClientOptions tls;  // for https
};

// Keeps keys of tokens fresh: fetches a key set now, every so often, and soon after a token named a key that is not known. Where
// that fails, or what comes is no key set, the keys stay as they are.
//
// On its loop's thread, construction and destruction included, but for FetchForUnknownKey.
class JwksFetcher {
 public:
  // What JwtVerifier::SetKeys does with a set. Called on the loop's thread.
  using SetKeys = std::function<Status(std::string_view jwks)>;

  // Errors: kInvalidArgument for a URL that is none, those of TlsContext.
  static Result<std::unique_ptr<JwksFetcher>> Start(http::EventLoop& loop, JwksFetcherOptions options, const Clock& clock,
                                                    SetKeys set_keys, GuardHooks hooks = {});
  ~JwksFetcher();
  JwksFetcher(const JwksFetcher&) = delete;
  JwksFetcher& operator=(const JwksFetcher&) = delete;

  // Any thread. True: `done` comes on `loop`'s thread once keys were fetched, or could not be; a request may wait for that and
  // try its token again. It never comes where this is destroyed before. False: keys are as new as they get, or a thousand wait
  // already; then the token is not valid.
  [[nodiscard]] bool FetchForUnknownKey(http::EventLoop& loop, std::function<void()> done);
  // The same for who does not wait.
  void FetchForUnknownKey();

 private:
  struct Core;
  explicit JwksFetcher(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  std::shared_ptr<Core> core_;
};

}  // namespace autoglm::guard
