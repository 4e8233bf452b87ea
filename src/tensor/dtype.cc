#include "tensor/dtype.h"

#include "base/check.h"

namespace autoglm {
namespace {

constexpr DTypeInfo kF32Info{"F32", 1, 4};
constexpr DTypeInfo kF16Info{"F16", 1, 2};
constexpr DTypeInfo kBF16Info{"BF16", 1, 2};
constexpr DTypeInfo kQ4_0Info{"Q4_0", 32, 18};
constexpr DTypeInfo kQ4_1Info{"Q4_1", 32, 20};
constexpr DTypeInfo kQ8_0Info{"Q8_0", 32, 34};

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
    case DType::kQ8_0:
      return &kQ8_0Info;
  }
  return nullptr;
}

const DTypeInfo& Info(DType dtype) {
  const DTypeInfo* info = FindDType(static_cast<uint32_t>(dtype));
  AUTOGLM_CHECK(info != nullptr);
  return *info;
}

}  // namespace autoglm
