#include "auth/secret_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <span>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr std::string_view kPrefix = "sk-autoglm-";
constexpr size_t kKeyCharacters = 40;
constexpr size_t kIdCharacters = 12;

void FillRandom(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    AUTOGLM_CHECK(got > 0);
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

std::string RandomBase62(size_t num_characters) {
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr uint8_t kFair = 256 / kAlphabet.size() * kAlphabet.size();  // bytes from here on would favour the first characters
  std::string text;
  while (text.size() < num_characters) {
    std::array<uint8_t, 64> bytes;
    FillRandom(bytes);
    for (const uint8_t byte : bytes) {
      if (byte < kFair && text.size() < num_characters) text += kAlphabet[byte % kAlphabet.size()];
    }
  }
  return text;
}

struct ContextRelease {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

// Looking the digest up and making a context costs several times what a key's hash does.
KeyHash Sha256Of(std::string_view text) {
  static EVP_MD* const digest = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextRelease> context(EVP_MD_CTX_new());
  AUTOGLM_CHECK(digest != nullptr && context != nullptr);
  KeyHash hash{};
  AUTOGLM_CHECK(EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1);
  AUTOGLM_CHECK(EVP_DigestUpdate(context.get(), text.data(), text.size()) == 1);
  AUTOGLM_CHECK(EVP_DigestFinal_ex(context.get(), hash.data(), nullptr) == 1);
  return hash;
}

Result<KeyHash> ParseKeyHash(std::string_view hex) {
  KeyHash hash{};
  bool is_hex = hex.size() == 2 * hash.size();
  for (size_t i = 0; is_hex && i < hash.size(); ++i) {
    const char* const first = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(first, first + 2, hash[i], 16);
    is_hex = error == std::errc() && end == first + 2;
  }
  if (!is_hex) return Fail(ErrorCode::kInvalidArgument, "must be the SHA-256 of a key as 64 hexadecimal digits");
  return hash;
}

std::string NewKeyText() { return std::string(kPrefix) + RandomBase62(kKeyCharacters); }

std::string NewKeyId() { return "key-" + RandomBase62(kIdCharacters); }

TenantSecret NewTenantSecret() {
  TenantSecret secret{};
  FillRandom(secret);
  return secret;
}

uint64_t CacheSaltOf(const TenantSecret& secret, std::string_view tenant) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  AUTOGLM_CHECK(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                     reinterpret_cast<const unsigned char*>(tenant.data()), tenant.size(), digest.data(), nullptr) != nullptr);
  uint64_t salt = 0;
  for (int i = 7; i >= 0; --i) salt = salt << 8 | digest[static_cast<size_t>(i)];
  return salt == 0 ? 1 : salt;
}

uint64_t CacheSaltWithin(uint64_t outer, std::string_view tenant) {
  TenantSecret secret{};
  for (size_t i = 0; i < sizeof(outer); ++i) secret[i] = static_cast<uint8_t>(outer >> (8 * i));
  return CacheSaltOf(secret, tenant);
}

}  // namespace autoglm
