#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

// Appends fields of a Protocol Buffers message to a string; what is zero or empty is left out, as proto3 does.
// Source: protobuf.dev, "Encoding".
class ProtobufWriter {
 public:
  void Varint(uint32_t field, uint64_t value);
  void Fixed64(uint32_t field, uint64_t value);
  void Double(uint32_t field, double value);
  void Bytes(uint32_t field, std::string_view bytes);  // strings too
  void Message(uint32_t field, const ProtobufWriter& message);

  // With its zero: a member of a oneof, whose being there says which one it is.
  void PresentVarint(uint32_t field, uint64_t value);
  void PresentDouble(uint32_t field, double value);
  void PresentBytes(uint32_t field, std::string_view bytes);
  // Elements of a packed field.
  static void AppendFixed64(std::string& out, uint64_t value);
  static uint64_t BitsOf(double value);

  const std::string& bytes() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Tag(uint32_t field, uint32_t wire_type);
  void RawVarint(uint64_t value);

  std::string out_;
};

}  // namespace autoglm
