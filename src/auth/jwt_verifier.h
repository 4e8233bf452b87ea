#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "auth/auth_hooks.h"
#include "auth/jwk_set.h"
#include "auth/jwt_claims.h"
#include "base/clock.h"
#include "base/file_stamp.h"
#include "base/result.h"

namespace autoglm {

// Tokens, by the keys of a file or by those it is handed. Where new ones cannot be read, the keys that were read last stay.
//
// A file may be rewritten at any time: it is read again within a second of a change of its time or size, and, at most every five
// seconds, for a token that names a key it had not. Keys of a URL come by SetKeys; until they have come once, no token is
// verified.
class JwtVerifier {
 public:
  // Errors, for a file: kNotFound, kIo, kPayloadTooLarge beyond 1 MiB; kInvalidArgument as JwkSet::Parse; all with the file's
  // name. kInvalidArgument for options that name both a file and a URL, or neither.
  static Result<std::unique_ptr<JwtVerifier>> Create(JwtOptions options, const Clock& clock, AuthHooks hooks);

  // Any thread. Tokens are at most 16 KiB. Errors: kUnauthenticated, the same for everything that is wrong up to the signature;
  // behind it, as ReadJwtClaims. kUnavailable while keys of a URL have never come.
  Result<JwtIdentity> Verify(std::string_view token);

  // Any thread. What was fetched takes the place of the keys before it, at once and whole. Errors: as JwkSet::Parse, beginning
  // with the URL; the keys are as before then.
  Status SetKeys(std::string_view jwks);
  const JwtOptions& options() const { return options_; }

 private:
  JwtVerifier(JwtOptions options, const Clock& clock, AuthHooks hooks)
      : options_(std::move(options)), clock_(clock), hooks_(std::move(hooks)) {}

  std::shared_ptr<const JwkSet> Keys();
  std::shared_ptr<const JwkSet> KeysForUnknownKid();
  bool IsFile() const { return options_.jwks_url.empty(); }
  Status Load();                    // with mutex_
  void TryLoad();                   // with mutex_
  Result<bool> HasChanged() const;  // with mutex_

  const JwtOptions options_;
  const Clock& clock_;
  const AuthHooks hooks_;

  std::mutex mutex_;
  std::shared_ptr<const JwkSet> keys_;  // nullptr: those of a URL have not come yet
  std::optional<FileStamp> stamp_;      // of the file when it was read
  TimePoint next_look_{};
  TimePoint next_unknown_{};
  std::string last_problem_;
};

}  // namespace autoglm
