#include "kernels/kernel_table.h"

#include "base/check.h"

namespace autoglm {

namespace scalar {
const KernelTable& Table();
}
#if defined(__x86_64__)
namespace avx2 {
const KernelTable& Table();
}
namespace avx512 {
const KernelTable& Table();
}
#endif

const KernelTable& GetKernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::Table();
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::Table();
    case Isa::kAvx512:
      return avx512::Table();
#else
    default:
      break;
#endif
  }
  CheckFailed("instruction-set path exists", __FILE__, __LINE__);
}

}  // namespace autoglm
