#include "tracing/protobuf_writer.h"

#include <bit>

namespace autoglm {
namespace {

constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kLengthDelimited = 2;

}  // namespace

void ProtobufWriter::RawVarint(uint64_t value) {
  while (value >= 0x80) {
    out_ += static_cast<char>((value & 0x7f) | 0x80);
    value >>= 7;
  }
  out_ += static_cast<char>(value);
}

void ProtobufWriter::Tag(uint32_t field, uint32_t wire_type) { RawVarint((uint64_t{field} << 3) | wire_type); }

void ProtobufWriter::Varint(uint32_t field, uint64_t value) {
  if (value != 0) PresentVarint(field, value);
}

void ProtobufWriter::PresentVarint(uint32_t field, uint64_t value) {
  Tag(field, kVarint);
  RawVarint(value);
}

void ProtobufWriter::Fixed64(uint32_t field, uint64_t value) {
  if (value == 0) return;
  Tag(field, kFixed64);
  AppendFixed64(out_, value);
}

void ProtobufWriter::Double(uint32_t field, double value) {
  if (BitsOf(value) != 0) PresentDouble(field, value);
}

void ProtobufWriter::PresentDouble(uint32_t field, double value) {
  Tag(field, kFixed64);
  AppendFixed64(out_, BitsOf(value));
}

void ProtobufWriter::Bytes(uint32_t field, std::string_view bytes) {
  if (!bytes.empty()) PresentBytes(field, bytes);
}

void ProtobufWriter::PresentBytes(uint32_t field, std::string_view bytes) {
  Tag(field, kLengthDelimited);
  RawVarint(bytes.size());
  out_.append(bytes);
}

void ProtobufWriter::Message(uint32_t field, const ProtobufWriter& message) { PresentBytes(field, message.bytes()); }

void ProtobufWriter::AppendFixed64(std::string& out, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>((value >> shift) & 0xff);
}

uint64_t ProtobufWriter::BitsOf(double value) { return std::bit_cast<uint64_t>(value); }

}  // namespace autoglm
