#include "weights/gguf_reader.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "weights/gguf_type.h"
#include "weights/printable_name.h"

namespace autoglm {
namespace {

using enum GgufType;

template <typename Stored>
using Widened = std::conditional_t<std::is_floating_point_v<Stored>, double, int64_t>;

template <typename Stored>
bool FitsWidened(Stored value) {
  if constexpr (std::is_same_v<Stored, uint64_t>) return value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return true;
}

tl::unexpected<Error> FailTooLarge(std::string_view key, auto value) {
  return Fail(ErrorCode::kUnsupported,
              fmt::format("GGUF: '{}' holds {}, above the largest signed 64-bit number", PrintableName(key), value));
}

}  // namespace

std::string_view GgufKindName(const GgufValue& value) {
  constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kNames = {
      "true or false",           "an integer",         "a float",          "a string",
      "a list of true or false", "a list of integers", "a list of floats", "a list of strings"};
  return kNames[value.index()];
}

tl::unexpected<Error> GgufReader::FailTruncated(std::string_view what, uint64_t num_needed) const {
  return Fail(ErrorCode::kCorruptFile,
              fmt::format("GGUF: {} at byte {} needs {} bytes, but only {} are left; the file is cut short "
                          "or damaged, fetch it again",
                          PrintableName(what), position_, num_needed, num_left()));
}

Result<std::string_view> GgufReader::ReadString(std::string_view what) {
  AUTOGLM_TRY(const auto num_bytes, Read<uint64_t>(what));
  if (num_bytes > num_left()) return FailTruncated(what, num_bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + position_), num_bytes);
  position_ += num_bytes;
  return text;
}

Result<std::string> GgufReader::ReadName(std::string_view what) {
  const size_t start = position_;
  AUTOGLM_TRY(const auto name, ReadString(what));
  if (name.empty() || name.size() > kGgufNameBytesMax) {
    return Fail(ErrorCode::kCorruptFile, fmt::format("GGUF: {} at byte {} has {} characters; a name has 1 to {}", what, start,
                                                     name.size(), kGgufNameBytesMax));
  }
  if (!IsPrintable(name)) {
    return Fail(ErrorCode::kCorruptFile,
                fmt::format("GGUF: {} at byte {} is '{}'; a name is printable ASCII", what, start, PrintableName(name)));
  }
  return std::string(name);
}

Result<GgufValue> GgufReader::ReadValue(std::string_view key) {
  AUTOGLM_TRY(const auto type_id, Read<uint32_t>(key));
  if (static_cast<GgufType>(type_id) == kArray) return ReadArray(key);
  return ReadScalar(key, type_id);
}

Result<GgufValue> GgufReader::ReadScalar(std::string_view key, uint32_t type_id) {
  switch (static_cast<GgufType>(type_id)) {
    case kUint8:
      return ReadNumber<uint8_t>(key);
    case kInt8:
      return ReadNumber<int8_t>(key);
    case kUint16:
      return ReadNumber<uint16_t>(key);
    case kInt16:
      return ReadNumber<int16_t>(key);
    case kUint32:
      return ReadNumber<uint32_t>(key);
    case kInt32:
      return ReadNumber<int32_t>(key);
    case kUint64:
      return ReadNumber<uint64_t>(key);
    case kInt64:
      return ReadNumber<int64_t>(key);
    case kFloat32:
      return ReadNumber<float>(key);
    case kFloat64:
      return ReadNumber<double>(key);
    case kBool:
      return ReadBool(key).map([](bool value) { return GgufValue(value); });
    case kString:
      return ReadString(key).map([](std::string_view text) { return GgufValue(std::string(text)); });
    default:
      return Fail(ErrorCode::kUnsupported, fmt::format("GGUF: '{}' has the unknown value type {}", PrintableName(key), type_id));
  }
}

Result<GgufValue> GgufReader::ReadArray(std::string_view key) {
  AUTOGLM_TRY(const auto type_id, Read<uint32_t>(key));
  AUTOGLM_TRY(const auto num_items, Read<uint64_t>(key));
  switch (static_cast<GgufType>(type_id)) {
    case kUint8:
      return ReadNumbers<uint8_t>(key, num_items);
    case kInt8:
      return ReadNumbers<int8_t>(key, num_items);
    case kUint16:
      return ReadNumbers<uint16_t>(key, num_items);
    case kInt16:
      return ReadNumbers<int16_t>(key, num_items);
    case kUint32:
      return ReadNumbers<uint32_t>(key, num_items);
    case kInt32:
      return ReadNumbers<int32_t>(key, num_items);
    case kUint64:
      return ReadNumbers<uint64_t>(key, num_items);
    case kInt64:
      return ReadNumbers<int64_t>(key, num_items);
    case kFloat32:
      return ReadNumbers<float>(key, num_items);
    case kFloat64:
      return ReadNumbers<double>(key, num_items);
    case kBool:
      return ReadBools(key, num_items);
    case kString:
      return ReadStrings(key, num_items);
    case kArray:
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("GGUF: '{}' is a list of lists, which is not supported", PrintableName(key)));
    default:
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("GGUF: '{}' is a list of the unknown value type {}", PrintableName(key), type_id));
  }
}

Result<bool> GgufReader::ReadBool(std::string_view key) {
  AUTOGLM_TRY(const auto value, Read<uint8_t>(key));
  if (value > 1) {
    return Fail(ErrorCode::kCorruptFile,
                fmt::format("GGUF: '{}' at byte {} is {}; true is 1 and false is 0", PrintableName(key), position_ - 1, value));
  }
  return value == 1;
}

template <typename Stored>
Result<GgufValue> GgufReader::ReadNumber(std::string_view key) {
  AUTOGLM_TRY(const auto value, Read<Stored>(key));
  if (!FitsWidened(value)) return FailTooLarge(key, value);
  return GgufValue(static_cast<Widened<Stored>>(value));
}

template <typename Stored>
Result<GgufValue> GgufReader::ReadNumbers(std::string_view key, uint64_t num_items) {
  if (num_items > num_left() / sizeof(Stored)) {
    return Fail(ErrorCode::kCorruptFile,
                fmt::format("GGUF: '{}' at byte {} claims {} items of {} bytes, but only {} bytes are left", PrintableName(key),
                            position_, num_items, sizeof(Stored), num_left()));
  }
  std::vector<Widened<Stored>> values(num_items);
  for (Widened<Stored>& widened : values) {
    const auto value = Take<Stored>();
    if (!FitsWidened(value)) return FailTooLarge(key, value);
    widened = static_cast<Widened<Stored>>(value);
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> GgufReader::ReadBools(std::string_view key, uint64_t num_items) {
  if (num_items > num_left()) return FailTruncated(key, num_items);
  std::vector<bool> values(num_items);
  for (size_t i = 0; i < num_items; ++i) {
    AUTOGLM_TRY(const bool value, ReadBool(key));
    values[i] = value;
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> GgufReader::ReadStrings(std::string_view key, uint64_t num_items) {
  if (num_items > num_left() / sizeof(uint64_t)) {
    return Fail(ErrorCode::kCorruptFile,
                fmt::format("GGUF: '{}' at byte {} claims {} strings of at least 8 bytes, but only {} bytes are left",
                            PrintableName(key), position_, num_items, num_left()));
  }
  std::vector<std::string> values;
  values.reserve(num_items);
  for (uint64_t i = 0; i < num_items; ++i) {
    AUTOGLM_TRY(const auto text, ReadString(key));
    values.emplace_back(text);
  }
  return GgufValue(std::move(values));
}

}  // namespace autoglm
