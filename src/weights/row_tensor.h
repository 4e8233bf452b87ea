#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/dtype.h"
#include "weights/gguf_value.h"

namespace autoglm {

// A tensor that is to be written, row by row, wherever its rows come from.
struct RowTensor {
  std::string name;
  std::vector<int64_t> shape;                                       // row-major
  DType dtype = DType::kF32;                                        // that the rows come from
  std::function<void(int64_t row, std::span<float> out)> read_row;  // any thread
  std::span<const std::byte> bytes;                                 // all of it, where it is stored as dtype and in this order
  std::function<void()> on_written = [] {};
};

// A model to be written as a GGUF file.
struct GgufModel {
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<RowTensor> tensors;
  int64_t num_layers = 0;
};

}  // namespace autoglm
