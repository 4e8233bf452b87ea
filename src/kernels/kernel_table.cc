#include "kernels/kernel_table.h"

#include "base/check.h"

namespace autoglm {

namespace scalar {
const KernelTable& Table();
}
namespace amx_emulated {
const KernelTable& Table();
}
#if defined(__x86_64__)
namespace avx2 {
const KernelTable& Table();
}
namespace avx512 {
const KernelTable& Table();
}
namespace avx512bf16 {
const KernelTable& Table();
}
namespace amx {
const KernelTable& Table();
}
#endif

ActivationKind KindFor(PackedFormat format, Arithmetic arithmetic, const KernelTable& kernels, int64_t num_tokens) {
  if (arithmetic == Arithmetic::kExact || format == PackedFormat::kF32 || format == PackedFormat::kF16) {
    return ActivationKind::kFloat;
  }
  if (format == PackedFormat::kI16) return ActivationKind::kInt16;
  const bool is_mixed = arithmetic == Arithmetic::kMixed && num_tokens >= kernels.min_mixed_tokens;
  return format == PackedFormat::kBf16 || is_mixed ? ActivationKind::kBf16 : ActivationKind::kInt8;
}

const KernelTable& EmulatedAmxKernels() { return amx_emulated::Table(); }

const KernelTable& GetKernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::Table();
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::Table();
    case Isa::kAvx512:
      return avx512::Table();
    case Isa::kAvx512Bf16:
      return avx512bf16::Table();
    case Isa::kAmx:
      return amx::Table();
#else
    default:
      break;
#endif
  }
  CheckFailed("instruction-set path exists", __FILE__, __LINE__);
}

}  // namespace autoglm
