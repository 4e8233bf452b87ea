#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/config_reader.h"
#include "models/model_config.h"
#include "models/tensor_names.h"
#include "weights/tensor_source.h"

namespace autoglm {

// What distinguishes one family's files from another's; the forward pass itself is told by ModelConfig. A family is one
// file in architectures/ (docs/adding-a-model.md).
struct Architecture {
  std::string_view gguf_name;                 // general.architecture; empty: there are no such GGUF files
  std::vector<std::string_view> model_types;  // config.json's model_type
  // Fills in what is beyond the common keys.
  Status (*read_gguf)(const GgufKeys& keys, ModelConfig& config) = nullptr;
  Status (*read_json)(const ConfigFields& fields, ModelConfig& config) = nullptr;
  bool has_own_config_keys = false;  // read_json reads everything: config.json has other names throughout
  TensorNames gguf_tensors;
  TensorNames folder_tensors;
};

// All of them, in no order.
std::span<const Architecture* const> Architectures();

// Errors: kUnsupported; the message lists the names that are known.
Result<const Architecture*> FindGgufArchitecture(std::string_view name);
Result<const Architecture*> FindModelType(std::string_view model_type);

// What a folder's tensors are called. The language model of a model with a tower for images has a longer prefix:
// "model.language_model." since transformers 4.52, "language_model.model." before.
TensorNames NamesInFolder(const Architecture& architecture, const TensorSource& folder);

}  // namespace autoglm
