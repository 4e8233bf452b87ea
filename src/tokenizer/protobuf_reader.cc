#include "tokenizer/protobuf_reader.h"

#include <algorithm>
#include <string>

namespace autoglm {
namespace {

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

tl::unexpected<Error> Corrupt(const std::string& what) { return Fail(ErrorCode::kCorruptFile, "the protobuf has " + what); }

}  // namespace

Result<ProtobufReader::Field> ProtobufReader::Next() {
  AUTOGLM_TRY(const uint64_t tag, Varint());
  Field field{.number = tag >> 3};
  switch (tag & 7) {
    case kVarint: {
      AUTOGLM_TRY(field.integer, Varint());
      return field;
    }
    case kFixed64: {
      AUTOGLM_TRY(field.integer, Fixed(8));
      return field;
    }
    case kFixed32: {
      AUTOGLM_TRY(field.integer, Fixed(4));
      return field;
    }
    case kLengthDelimited: {
      AUTOGLM_TRY(const uint64_t length, Varint());
      if (length > rest_.size()) return Corrupt("a field that is longer than the file");
      field.bytes = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return field;
    }
    default:
      return Corrupt("a field of unknown type " + std::to_string(tag & 7));
  }
}

Result<uint64_t> ProtobufReader::Varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min<size_t>(10, rest_.size()); ++i) {
    const auto byte = static_cast<uint8_t>(rest_[i]);
    value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    rest_.remove_prefix(i + 1);
    return value;
  }
  return Corrupt("a number without end");
}

Result<uint64_t> ProtobufReader::Fixed(size_t num_bytes) {
  if (rest_.size() < num_bytes) return Corrupt("a number that is cut off");
  uint64_t value = 0;
  for (size_t i = 0; i < num_bytes; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
  rest_.remove_prefix(num_bytes);
  return value;
}

}  // namespace autoglm
