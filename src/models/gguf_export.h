#pragma once

#include <string>

#include "base/result.h"
#include "models/model_config.h"
#include "weights/row_tensor.h"
#include "weights/tensor_source.h"

namespace autoglm {

// A Hugging Face folder's model as a GGUF file has it, as llama.cpp's converter would write it: the family's metadata without the
// tokenizer's, and tensors under GGUF's names, with rows of queries and keys in llama's order, experts stacked, norms of Gemma
// raised by one, and Llama 3's RoPE scaling as divisors. `folder` must outlive the result. `name` becomes general.name.
// Errors: kUnsupported for a family that has no GGUF form; kNotFound and kCorruptFile for its tensors.
Result<GgufModel> ExportModel(const TensorSource& folder, const ModelConfig& config, const std::string& name);

}  // namespace autoglm
