#pragma once

#include <cjose/cjose.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

inline constexpr int64_t kMaxTokenBytes = 16 << 10;
inline constexpr int64_t kMaxJwksBytes = 1 << 20;

// Keys that verify signatures of tokens: RFC 7517 (JWK), 7518 (algorithms), 7515 (JWS, compact). Immutable: any thread.
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
  struct Algorithm;

  static const Algorithm* FindAlgorithm(std::string_view name);
  static Result<Key> ParseKey(const Json& json);
  static bool Fits(const Key& key, const Algorithm& algorithm);
  static size_t SignatureBytes(const Key& key, const Algorithm& algorithm);
  Result<const Key*> Choose(const Algorithm& algorithm, const char* kid) const;

  std::vector<Key> keys_;
};

}  // namespace autoglm
