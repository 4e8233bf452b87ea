#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

struct evp_pkey_st;

namespace autoglm {

// A public key of Ed25519 (RFC 8032), which cjose does not know. Immutable: any thread.
class Ed25519Key {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kSignatureBytes = 64;

  // nullopt where these are not the bytes of a key.
  static std::optional<Ed25519Key> FromBytes(std::span<const uint8_t> bytes);

  bool Verify(std::string_view message, std::span<const uint8_t> signature) const;

 private:
  struct Releaser {
    void operator()(evp_pkey_st* key) const;
  };
  explicit Ed25519Key(std::unique_ptr<evp_pkey_st, Releaser> key) : key_(std::move(key)) {}

  std::unique_ptr<evp_pkey_st, Releaser> key_;
};

}  // namespace autoglm
