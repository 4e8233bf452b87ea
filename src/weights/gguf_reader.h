#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "weights/gguf_value.h"

namespace autoglm {

// Reads a GGUF header front to back (ggml docs/gguf.md). Nothing is trusted: a length or count is compared with the bytes
// that are left before anything is read or allocated. Numbers are little-endian, as is every machine this program runs on.
class GgufReader {
 public:
  explicit GgufReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t num_left() const { return bytes_.size() - position_; }

  // `what` names the thing being read in the message of a failure. Errors: kCorruptFile where the file ends inside it.
  template <typename T>
  Result<T> Read(std::string_view what) {
    if (num_left() < sizeof(T)) return FailTruncated(what, sizeof(T));
    return Take<T>();
  }
  // The bytes of a string, inside the file.
  Result<std::string_view> ReadString(std::string_view what);
  // The name of a key or tensor: printable ASCII, not empty, at most 65535 bytes.
  Result<std::string> ReadName(std::string_view what);
  // A value's type and the value itself. Errors: kCorruptFile; kUnsupported for unknown types, nested arrays, and uint64
  // numbers above INT64_MAX.
  Result<GgufValue> ReadValue(std::string_view key);

 private:
  template <typename T>
  T Take() {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  tl::unexpected<Error> FailTruncated(std::string_view what, uint64_t num_needed) const;
  Result<GgufValue> ReadScalar(std::string_view key, uint32_t type_id);
  Result<GgufValue> ReadArray(std::string_view key);
  Result<bool> ReadBool(std::string_view key);
  template <typename Stored>
  Result<GgufValue> ReadNumber(std::string_view key);
  template <typename Stored>
  Result<GgufValue> ReadNumbers(std::string_view key, uint64_t num_items);
  Result<GgufValue> ReadBools(std::string_view key, uint64_t num_items);
  Result<GgufValue> ReadStrings(std::string_view key, uint64_t num_items);

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace autoglm
