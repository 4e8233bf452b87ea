#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/dtype.h"
#include "weights/gguf_value.h"

namespace autoglm {

// Little-endian pieces of a GGUF file, one after another. Tests of damaged files write their headers with it by hand.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const size_t start = bytes_.size();
    bytes_.resize(start + sizeof(T));
    std::memcpy(bytes_.data() + start, &value, sizeof(T));
    return *this;
  }
  GgufBytes& Raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  GgufBytes& Text(std::string_view text) { return Raw(std::as_bytes(std::span(text))); }
  GgufBytes& String(std::string_view text) { return Number<uint64_t>(text.size()).Text(text); }
  GgufBytes& PadTo(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Builds a GGUF file in memory, for tests:
//   GgufBuilder().Add("general.architecture", "llama").AddTensor("output.weight", DType::kF32, {4, 8}, bytes).Build()
// Nothing is checked, so that broken files can be built as well.
class GgufBuilder {
 public:
  explicit GgufBuilder(uint32_t version = 3) : version_(version) {}

  // Integers are stored as int64, floats as float64: what a reader widens everything to.
  GgufBuilder& Add(std::string_view key, const GgufValue& value) {
    GgufBytes stored;
    std::visit([&stored](const auto& typed) { WriteTyped(stored, typed); }, value);
    return AddRaw(key, stored);
  }
  GgufBuilder& Add(std::string_view key, const char* text) { return Add(key, GgufValue(std::string(text))); }
  template <typename T>
    requires std::is_integral_v<T> && (!std::is_same_v<T, bool>)
  GgufBuilder& Add(std::string_view key, T value) {
    return Add(key, GgufValue(static_cast<int64_t>(value)));
  }
  // `stored` begins with the value's type.
  GgufBuilder& AddRaw(std::string_view key, const GgufBytes& stored) {
    values_.String(key).Raw(stored.bytes());
    ++num_values_;
    return *this;
  }

  // `shape` is row-major ([rows, columns]), as in TensorView.
  GgufBuilder& AddTensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape,
                         std::span<const std::byte> bytes) {
    return AddTensor(name, static_cast<uint32_t>(dtype), shape, bytes);
  }
  GgufBuilder& AddTensor(std::string_view name, uint32_t type_id, const std::vector<int64_t>& shape,
                         std::span<const std::byte> bytes) {
    const size_t offset = data_.bytes().size();
    data_.Raw(bytes).PadTo(alignment_);
    return AddTensorAt(name, type_id, shape, offset);
  }
  // A tensor without bytes of its own.
  GgufBuilder& AddTensorAt(std::string_view name, uint32_t type_id, const std::vector<int64_t>& shape, uint64_t offset) {
    tensors_.String(name).Number(static_cast<uint32_t>(shape.size()));
    for (size_t i = shape.size(); i > 0; --i) tensors_.Number(shape[i - 1]);
    tensors_.Number(type_id).Number(offset);
    ++num_tensors_;
    return *this;
  }

  // Also adds general.alignment. Before the first tensor.
  GgufBuilder& SetAlignment(uint32_t alignment) {
    alignment_ = alignment;
    return AddRaw("general.alignment", GgufBytes().Number(uint32_t{4}).Number(alignment));
  }

  std::vector<std::byte> Build() const {
    GgufBytes file;
    file.Text("GGUF").Number(version_).Number(num_tensors_).Number(num_values_);
    file.Raw(values_.bytes()).Raw(tensors_.bytes()).PadTo(alignment_).Raw(data_.bytes());
    return file.bytes();
  }

 private:
  static constexpr uint32_t kBool = 7, kString = 8, kArray = 9, kInt64 = 11, kFloat64 = 12;

  static void WriteTyped(GgufBytes& out, bool value) { out.Number(kBool).Number(static_cast<uint8_t>(value)); }
  static void WriteTyped(GgufBytes& out, int64_t value) { out.Number(kInt64).Number(value); }
  static void WriteTyped(GgufBytes& out, double value) { out.Number(kFloat64).Number(value); }
  static void WriteTyped(GgufBytes& out, const std::string& value) { out.Number(kString).String(value); }
  static void WriteTyped(GgufBytes& out, const std::vector<bool>& values) {
    WriteArrayHead(out, kBool, values.size());
    for (const bool value : values) out.Number(static_cast<uint8_t>(value));
  }
  static void WriteTyped(GgufBytes& out, const std::vector<int64_t>& values) {
    WriteArrayHead(out, kInt64, values.size());
    for (const int64_t value : values) out.Number(value);
  }
  static void WriteTyped(GgufBytes& out, const std::vector<double>& values) {
    WriteArrayHead(out, kFloat64, values.size());
    for (const double value : values) out.Number(value);
  }
  static void WriteTyped(GgufBytes& out, const std::vector<std::string>& values) {
    WriteArrayHead(out, kString, values.size());
    for (const std::string& value : values) out.String(value);
  }
  static void WriteArrayHead(GgufBytes& out, uint32_t type_id, size_t num_items) {
    out.Number(kArray).Number(type_id).Number<uint64_t>(num_items);
  }

  const uint32_t version_;
  uint32_t alignment_ = 32;
  GgufBytes values_;
  GgufBytes tensors_;
  GgufBytes data_;
  uint64_t num_values_ = 0;
  uint64_t num_tensors_ = 0;
};

}  // namespace autoglm
