#include "tensor/dtype.h"

#include "base/check.h"

namespace autoglm {
namespace {

// Sizes of blocks: ggml-common.h.
constexpr DTypeInfo kF32Info{"F32", 1, 4};
constexpr DTypeInfo kF16Info{"F16", 1, 2};
constexpr DTypeInfo kBF16Info{"BF16", 1, 2};
constexpr DTypeInfo kQ4_0Info{"Q4_0", 32, 18};
constexpr DTypeInfo kQ4_1Info{"Q4_1", 32, 20};
constexpr DTypeInfo kQ5_0Info{"Q5_0", 32, 22};
constexpr DTypeInfo kQ5_1Info{"Q5_1", 32, 24};
constexpr DTypeInfo kQ8_0Info{"Q8_0", 32, 34};
constexpr DTypeInfo kQ4_KInfo{"Q4_K", 256, 144};
constexpr DTypeInfo kQ5_KInfo{"Q5_K", 256, 176};
constexpr DTypeInfo kQ6_KInfo{"Q6_K", 256, 210};
constexpr DTypeInfo kIQ4_NLInfo{"IQ4_NL", 32, 18};

}  // namespace

const DTypeInfo* FindDType(uint32_t type_id) {
  switch (static_cast<DType>(type_id)) {
    case DType::kF32:
      return &kF32Info;
    case DType::kF16:
      return &kF16Info;
    case DType::kBF16:
      return &kBF16Info;
    case DType::kQ4_0:
      return &kQ4_0Info;
    case DType::kQ4_1:
      return &kQ4_1Info;
    case DType::kQ5_0:
      return &kQ5_0Info;
    case DType::kQ5_1:
      return &kQ5_1Info;
    case DType::kQ8_0:
      return &kQ8_0Info;
    case DType::kQ4_K:
      return &kQ4_KInfo;
    case DType::kQ5_K:
      return &kQ5_KInfo;
    case DType::kQ6_K:
      return &kQ6_KInfo;
    case DType::kIQ4_NL:
      return &kIQ4_NLInfo;
  }
  return nullptr;
}

const DTypeInfo& Info(DType dtype) {
  const DTypeInfo* info = FindDType(static_cast<uint32_t>(dtype));
  AUTOGLM_CHECK(info != nullptr);
  return *info;
}

}  // namespace autoglm
