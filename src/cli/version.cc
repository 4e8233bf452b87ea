#include "cli/version.h"

#include <fmt/format.h>

#include "kernels/isa.h"

namespace autoglm {
namespace {

std::string Compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

std::string_view Version() { return AUTOGLM_VERSION; }

std::string VersionText() { return fmt::format("autoglm {} ({}, {})", Version(), Compiler(), IsaName(DetectIsa())); }

}  // namespace autoglm
