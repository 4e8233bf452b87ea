#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// Instruction-set paths, slowest first. A path's results are bit-identical on every machine that can run it.
enum class Isa { kScalar, kAvx2, kAvx512 };

// The fastest path of this machine. kAvx512 means F, BW, DQ, VL and VNNI; kAvx2 means AVX2, FMA and F16C.
Isa DetectIsa();
std::vector<Isa> SupportedIsas();
std::string_view IsaName(Isa isa);
// "scalar", "avx2", "avx512", "auto". Errors: kInvalidArgument for another name, kUnsupported where this machine lacks it.
Result<Isa> ParseIsa(std::string_view name);

// How weights meet activations.
enum class Arithmetic {
  kFast,   // 4- and 8-bit weights times activations quantised to 8 bits per 32 values; KV in BF16
  kExact,  // every weight decoded to float32, activations and KV float32
};

}  // namespace autoglm
