#include "auth/jwt_verifier.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

namespace autoglm {
namespace {

constexpr std::chrono::seconds kLookInterval{1};
constexpr std::chrono::seconds kUnknownKidInterval{5};

Result<std::string> ReadJwks(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int error = errno;
    return Fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                fmt::format("cannot open {}: {}", path.string(), std::generic_category().message(error)));
  }
  std::string text(kMaxJwksBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return Fail(ErrorCode::kIo, fmt::format("cannot read {}", path.string()));
  if (file.gcount() > kMaxJwksBytes) {
    return Fail(ErrorCode::kPayloadTooLarge, fmt::format("{} is larger than {} bytes", path.string(), kMaxJwksBytes));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace

Result<std::unique_ptr<JwtVerifier>> JwtVerifier::Create(JwtOptions options, const Clock& clock, AuthHooks hooks) {
  if (options.jwks.empty() == options.jwks_url.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "jwt needs its keys from a file (jwks) or from a URL (jwks_url), and not from both");
  }
  std::unique_ptr<JwtVerifier> verifier(new JwtVerifier(std::move(options), clock, std::move(hooks)));
  if (!verifier->IsFile()) return verifier;
  AUTOGLM_TRY_VOID(verifier->Load());
  verifier->next_look_ = clock.Now() + kLookInterval;
  verifier->next_unknown_ = clock.Now() + kUnknownKidInterval;
  return verifier;
}

Result<JwtIdentity> JwtVerifier::Verify(std::string_view token) {
  const std::shared_ptr<const JwkSet> keys = Keys();
  if (keys == nullptr) return Fail(ErrorCode::kUnavailable, "the keys that verify tokens have not been fetched yet");
  Result<std::string> payload = keys->Verify(token);
  if (!payload && payload.error().code == ErrorCode::kNotFound) payload = KeysForUnknownKid()->Verify(token);
  if (!payload && payload.error().code == ErrorCode::kNotFound) hooks_.on_unknown_key();
  if (!payload) return Fail(ErrorCode::kUnauthenticated, "the token is not valid");
  return ReadJwtClaims(*payload, options_, hooks_.wall_now());
}

Status JwtVerifier::SetKeys(std::string_view jwks) {
  Result<JwkSet> keys = JwkSet::Parse(jwks);
  if (!keys) return Fail(keys.error().code, fmt::format("{}: {}", options_.jwks_url, keys.error().message));
  auto shared = std::make_shared<const JwkSet>(*std::move(keys));
  const std::lock_guard lock(mutex_);
  keys_.swap(shared);
  return {};
}

std::shared_ptr<const JwkSet> JwtVerifier::Keys() {
  const std::lock_guard lock(mutex_);
  if (!IsFile() || clock_.Now() < next_look_) return keys_;
  next_look_ = clock_.Now() + kLookInterval;
  // A file that cannot be looked at cannot be read either, and that says why.
  if (HasChanged().value_or(true)) TryLoad();
  return keys_;
}

std::shared_ptr<const JwkSet> JwtVerifier::KeysForUnknownKid() {
  const std::lock_guard lock(mutex_);
  if (!IsFile() || clock_.Now() < next_unknown_) return keys_;
  next_unknown_ = clock_.Now() + kUnknownKidInterval;
  TryLoad();
  return keys_;
}

Result<bool> JwtVerifier::HasChanged() const {
  AUTOGLM_TRY(const std::optional<FileStamp> stamp, FileStamp::Of(options_.jwks));
  return stamp != stamp_;
}

void JwtVerifier::TryLoad() {
  const Status status = Load();
  const std::string problem = status ? "" : status.error().message;
  if (std::exchange(last_problem_, problem) != problem && !status) hooks_.on_problem(status.error());
}

Status JwtVerifier::Load() {
  // The stamp first: a change during the reading is seen the next time.
  AUTOGLM_TRY(const std::optional<FileStamp> stamp, FileStamp::Of(options_.jwks));
  AUTOGLM_TRY(const std::string text, ReadJwks(options_.jwks));
  Result<JwkSet> keys = JwkSet::Parse(text);
  if (!keys) return Fail(keys.error().code, fmt::format("{}: {}", options_.jwks.string(), keys.error().message));
  keys_ = std::make_shared<const JwkSet>(*std::move(keys));
  stamp_ = stamp;
  return {};
}

}  // namespace autoglm
