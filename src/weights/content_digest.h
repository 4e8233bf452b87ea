#pragma once

#include <string>

#include "weights/tensor_source.h"

namespace autoglm {

// A name for what stands in a model's files, equal for every copy of them: 32 hexadecimal digits of a hash (XXH3) of all headers,
// and of a sample of each tensor. Two checkpoints of one training, whose headers are equal, differ in their samples; a single
// weight that somebody changed by hand may not. Reads a page of every tensor.
std::string ContentDigest(const TensorSource& source);

}  // namespace autoglm
