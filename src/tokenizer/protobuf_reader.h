#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Reads the fields of one protobuf message in order, without copying. The bytes are untrusted and must outlive the reader.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : rest_(bytes) {}

  struct Field {
    uint64_t number = 0;
    uint64_t integer = 0;    // of a varint or a fixed-width field
    std::string_view bytes;  // of a length-delimited field: text or a message
  };
  bool AtEnd() const { return rest_.empty(); }
  // Errors: kCorruptFile.
  Result<Field> Next();

 private:
  Result<uint64_t> Varint();
  Result<uint64_t> Fixed(size_t num_bytes);

  std::string_view rest_;
};

}  // namespace autoglm
