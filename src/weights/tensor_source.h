#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/mapped_file.h"
#include "tensor/tensor_view.h"

namespace autoglm {

// Where a model's tensors come from, whatever the kind of file: GgufFile, SafetensorsFile or SafetensorsFolder. Views stay valid
// as long as the source.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  // Those of a type this program reads.
  virtual const std::vector<TensorView>& tensors() const = 0;
  // Also true for a tensor of an unknown type: a caller that must have it learns why not from FindTensor.
  virtual bool HasTensor(std::string_view name) const = 0;
  // Errors: kNotFound; kUnsupported for an unknown type (the message names it).
  virtual Result<const TensorView*> FindTensor(std::string_view name) const = 0;
  // After the tensor's bytes have been copied elsewhere: lets the kernel take its pages back. No-op for bytes in memory.
  virtual void DropPages(const TensorView& tensor) const = 0;
  // The files behind the tensors, as they were opened; empty where some are not from files.
  virtual std::vector<FileIdentity> Identities() const = 0;
  // What stands in the files before their tensors' bytes, one for each file.
  virtual std::vector<std::span<const std::byte>> Headers() const = 0;
};

}  // namespace autoglm
