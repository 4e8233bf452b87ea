#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

// A safetensors file whose header is `json`, for tests of damaged ones: any text.
inline std::vector<std::byte> SafetensorsBytes(std::string_view json, size_t data_bytes) {
  const uint64_t header_bytes = json.size();
  std::vector<std::byte> file(8 + json.size() + data_bytes);
  std::memcpy(file.data(), &header_bytes, 8);
  std::memcpy(file.data() + 8, json.data(), json.size());
  return file;
}

// Builds a safetensors file in memory:
//   SafetensorsBuilder().Add("a.weight", "F32", "[2, 3]", bytes).Build()
class SafetensorsBuilder {
 public:
  SafetensorsBuilder& Add(std::string_view name, std::string_view dtype, std::string_view shape,
                          std::span<const std::byte> bytes) {
    Entry(name) += "{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":" + std::string(shape) + ",\"data_offsets\":[" +
                   std::to_string(data_.size()) + "," + std::to_string(data_.size() + bytes.size()) + "]}";
    data_.insert(data_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  SafetensorsBuilder& AddMetadata(std::string_view object) {
    Entry("__metadata__") += object;
    return *this;
  }

  std::vector<std::byte> Build() const {
    std::string json = "{" + members_ + "}";
    json.resize((json.size() + 7) / 8 * 8, ' ');
    auto file = SafetensorsBytes(json, 0);
    file.insert(file.end(), data_.begin(), data_.end());
    return file;
  }

 private:
  std::string& Entry(std::string_view name) {
    if (!members_.empty()) members_ += ",";
    return members_ += "\"" + std::string(name) + "\":";
  }

  std::string members_;
  std::vector<std::byte> data_;
};

}  // namespace autoglm
