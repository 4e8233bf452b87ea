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

// Tokens, by the keys of a file that may be rewritten at any time: it is read again within a second of a change of its time or
// size, and, at most every five seconds, for a token that names a key it had not. Where it cannot be read, the keys that were
// read last stay.
class JwtVerifier {
 public:
  // Errors: kNotFound, kIo, kPayloadTooLarge beyond 1 MiB; kInvalidArgument as JwkSet::Parse; all with the file's name.
  static Result<std::unique_ptr<JwtVerifier>> Create(JwtOptions options, const Clock& clock, AuthHooks hooks);

  // Any thread. Tokens are at most 16 KiB. Errors: kUnauthenticated, the same for everything that is wrong up to the signature;
  // behind it, as ReadJwtClaims.
  Result<JwtIdentity> Verify(std::string_view token);

 private:
  JwtVerifier(JwtOptions options, const Clock& clock, AuthHooks hooks)
      : options_(std::move(options)), clock_(clock), hooks_(std::move(hooks)) {}

  std::shared_ptr<const JwkSet> Keys();
  std::shared_ptr<const JwkSet> KeysForUnknownKid();
  Status Load();                    // with mutex_
  void TryLoad();                   // with mutex_
  Result<bool> HasChanged() const;  // with mutex_

  const JwtOptions options_;
  const Clock& clock_;
  const AuthHooks hooks_;

  std::mutex mutex_;
  std::shared_ptr<const JwkSet> keys_;
  std::optional<FileStamp> stamp_;  // of the file when it was read
  TimePoint next_look_{};
  TimePoint next_unknown_{};
  std::string last_problem_;
};

}  // namespace autoglm
