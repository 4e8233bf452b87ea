#pragma once

#include <cjose/cjose.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/ed25519_key.h"
#include "base/result.h"
#include "json/json.h"

namespace autoglm {

inline constexpr int64_t kMaxTokenBytes = 16 << 10;
inline constexpr int64_t kMaxJwksBytes = 1 << 20;

// Keys that verify signatures of tokens: RFC 7517 (JWK), 7518 and 8037 (algorithms), 7515 (JWS, compact). Immutable: any thread.
//
// A key decides which algorithms it is for, by its type, its curve and its "alg"; what a token's header says must be one of them.
// So nobody makes a public key the secret of an HMAC, and "none" fits no key.
class JwkSet {
 public:
  // Keys for other uses and of other types are left out. Errors: kInvalidArgument for a key that is broken, too short or whose
  // "alg" does not fit it, and where no key is left.
  static Result<JwkSet> Parse(std::string_view text);

  // The payload of a token that one of the keys has signed: the key with the token's "kid", or the only one that fits where it
  // has none. Errors: kNotFound for a "kid" that is not here, kUnauthenticated for everything else.
  Result<std::string> Verify(std::string_view token) const;

 private:
  struct Releaser {
    void operator()(cjose_jwk_t* jwk) const { cjose_jwk_release(jwk); }
  };
  struct Key {
    std::unique_ptr<cjose_jwk_t, Releaser> jwk;
    std::string kid;
    std::string alg;  // empty: all that fit
  };
  struct EdKey {
    Ed25519Key key;
    std::string kid;
  };
  struct Algorithm;

  static const Algorithm* FindAlgorithm(std::string_view name);
  static Result<Key> ParseKey(const Json& json);
  static Result<EdKey> ParseEdKey(const Json& json);
  Status Add(const Json& json, const std::string& path);
  static bool Fits(const Key& key, const Algorithm& algorithm);
  static size_t SignatureBytes(const Key& key, const Algorithm& algorithm);
  Result<const Key*> Choose(const Algorithm& algorithm, const char* kid) const;
  Result<const Ed25519Key*> ChooseEd(const std::optional<std::string>& kid) const;
  bool HasKid(std::string_view kid) const;

  Result<std::string> VerifyByCjose(std::string_view token, cjose_jws_t* jws) const;
  Result<std::string> VerifyEdDsa(std::string_view token) const;

  std::vector<Key> keys_;
  std::vector<EdKey> ed_keys_;
};

}  // namespace autoglm
