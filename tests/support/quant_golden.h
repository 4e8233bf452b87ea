#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/safetensors_reader.h"
#include "support/test_paths.h"
#include "tensor/tensor_view.h"

namespace autoglm {

// Random blocks of one quantised type and what they stand for (tests/golden/quants): 2 rows.
class QuantGolden {
 public:
  static std::vector<DType> Types() {
    return {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,  DType::kQ8_0,
            DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL};
  }

  explicit QuantGolden(DType dtype) {
    const SafetensorsReader reader(GoldenFile("quants/quants.safetensors"));
    const std::string name(Info(dtype).name);
    bytes_ = reader.Read<std::byte>(name + ".bytes");
    values_ = reader.Read<float>(name + ".values");
    tensor_ = {.name = name, .dtype = dtype, .shape = {2, std::ssize(values_) / 2}, .bytes = bytes_};
  }

  const TensorView& tensor() const { return tensor_; }
  // [2][columns]
  const std::vector<float>& values() const { return values_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
  TensorView tensor_;
};

}  // namespace autoglm
