#include "auth/ed25519_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>

namespace autoglm {

void Ed25519Key::Releaser::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

std::optional<Ed25519Key> Ed25519Key::FromBytes(std::span<const uint8_t> bytes) {
  if (bytes.size() != kKeyBytes) return std::nullopt;
  std::unique_ptr<evp_pkey_st, Releaser> key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()));
  if (key == nullptr) return std::nullopt;
  return Ed25519Key(std::move(key));
}

bool Ed25519Key::Verify(std::string_view message, std::span<const uint8_t> signature) const {
  if (signature.size() != kSignatureBytes) return false;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const bool is_right = EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
                        EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                         reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
  if (!is_right) ERR_clear_error();  // else this thread's next user of OpenSSL takes it for its own
  return is_right;
}

}  // namespace autoglm
