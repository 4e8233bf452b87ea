#include "weights/content_digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace autoglm {
namespace {

constexpr size_t kSampleBytes = 1024;

class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), XXH3_freeState) { (void)XXH3_128bits_reset(state_.get()); }

  // The length counts, too: what two parts have together does not tell where one ends.
  void Add(std::span<const std::byte> bytes) {
    const uint64_t size = bytes.size();
    (void)XXH3_128bits_update(state_.get(), &size, sizeof size);
    (void)XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  std::string Hex() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

// From the middle: the first rows of an embedding belong to tokens that no training touches.
std::span<const std::byte> SampleOf(const TensorView& tensor) {
  const size_t size = std::min(kSampleBytes, tensor.bytes.size());
  return tensor.bytes.subspan((tensor.bytes.size() - size) / 2, size);
}

}  // namespace

std::string ContentDigest(const TensorSource& source) {
  Hasher hasher;
  for (const std::span<const std::byte> header : source.Headers()) hasher.Add(header);
  for (const TensorView& tensor : source.tensors()) {
    hasher.Add(std::as_bytes(std::span(tensor.name)));
    const uint64_t size = tensor.bytes.size();
    hasher.Add(std::as_bytes(std::span(&size, 1)));
    hasher.Add(SampleOf(tensor));
  }
  return hasher.Hex();
}

}  // namespace autoglm
