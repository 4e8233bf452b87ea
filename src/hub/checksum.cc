#include "hub/checksum.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <span>
#include <string_view>

#include "base/check.h"
#include "tensor/mapped_file.h"

namespace autoglm {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

std::string Digest(const EVP_MD* algorithm, std::string_view prefix, std::span<const std::byte> bytes) {
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int num_bytes = 0;
  const bool is_done = context != nullptr && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1 &&
                       EVP_DigestUpdate(context.get(), prefix.data(), prefix.size()) == 1 &&
                       EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
                       EVP_DigestFinal_ex(context.get(), digest.data(), &num_bytes) == 1;
  AUTOGLM_CHECK(is_done);
  std::string hex;
  for (unsigned int i = 0; i < num_bytes; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

Result<std::string> Sha256OfFile(const std::filesystem::path& path) {
  AUTOGLM_TRY(const MappedFile file, MappedFile::Open(path));
  return Digest(EVP_sha256(), "", file.bytes());
}

Result<std::string> GitBlobSha1OfFile(const std::filesystem::path& path) {
  AUTOGLM_TRY(const MappedFile file, MappedFile::Open(path));
  const std::string prefix = fmt::format("blob {}", file.bytes().size());
  return Digest(EVP_sha1(), std::string_view(prefix.c_str(), prefix.size() + 1), file.bytes());
}

}  // namespace autoglm
