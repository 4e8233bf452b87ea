#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// Instruction-set paths, slowest first. A path's results are bit-identical on every machine that can run it.
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Bf16, kAmx };

// The path for this machine: the last that it supports. kAvx2 means AVX2, FMA and F16C; kAvx512 means F, BW, DQ, VL and VNNI;
// kAvx512Bf16 means BF16 products too; kAmx means these and matrix tiles of bytes and of BF16, which the system must grant.
Isa DetectIsa();
std::vector<Isa> SupportedIsas();
std::string_view IsaName(Isa isa);
// "auto" and all names: what ParseIsa takes, for help texts.
std::string IsaChoices();
// Errors: kInvalidArgument for another name, kUnsupported where this machine lacks it.
Result<Isa> ParseIsa(std::string_view name);

// How weights meet activations.
enum class Arithmetic {
  kFast,   // quantised weights times 8-bit activations, F16 times 14-bit, BF16 times BF16 ones; KV in BF16
  kExact,  // every weight decoded to float32, activations and KV float32
  kMixed,  // as kFast, but many tokens meet quantised weights in BF16 where a path has that faster (matrix tiles): a token's
           // result then depends on how many are computed together, and on the number of threads
};

}  // namespace autoglm
