#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace autoglm {

// Reads arrays of a trusted safetensors file (golden data of tests): u64 header length, JSON, data.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    uint64_t header_bytes = 0;
    if (bytes_.size() >= 8) std::memcpy(&header_bytes, bytes_.data(), 8);
    header_ = nlohmann::json::parse(bytes_.substr(8, header_bytes));
    data_begin_ = 8 + header_bytes;
  }

  template <typename T>
  std::vector<T> Read(const std::string& name) const {
    const auto& offsets = header_.at(name).at("data_offsets");
    const size_t begin = offsets[0];
    const size_t end = offsets[1];
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + data_begin_ + begin, end - begin);
    return values;
  }

 private:
  std::string bytes_;
  nlohmann::json header_;
  size_t data_begin_ = 0;
};

}  // namespace autoglm
