#include "kernels/isa.h"

#include <iterator>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace autoglm {
namespace {

#if defined(__x86_64__)
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }
bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
bool HasAvx512Bf16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16"); }
// Tiles are eight kilobytes of registers, which Linux gives to a process only when asked (arch_prctl(2)).
bool HasAmx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!HasAvx512Bf16() || __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kAmx = 1u << 22 | 1u << 24 | 1u << 25;  // BF16, tiles, INT8
  if ((edx & kAmx) != kAmx) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}
#else
bool HasAvx2() { return false; }
bool HasAvx512() { return false; }
bool HasAvx512Bf16() { return false; }
bool HasAmx() { return false; }
#endif

constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx};

}  // namespace

Isa DetectIsa() { return SupportedIsas().back(); }

std::vector<Isa> SupportedIsas() {
  std::vector<Isa> isas = {Isa::kScalar};
  if (HasAvx2()) isas.push_back(Isa::kAvx2);
  if (HasAvx512()) isas.push_back(Isa::kAvx512);
  if (HasAvx512Bf16()) isas.push_back(Isa::kAvx512Bf16);
  if (HasAmx()) isas.push_back(Isa::kAmx);
  return isas;
}

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

std::string IsaChoices() {
  std::string choices = "auto";
  for (const Isa isa : kAllIsas) choices.append(isa == std::end(kAllIsas)[-1] ? " or " : ", ").append(IsaName(isa));
  return choices;
}

Result<Isa> ParseIsa(std::string_view name) {
  if (name == "auto") return DetectIsa();
  for (const Isa isa : kAllIsas) {
    if (name != IsaName(isa)) continue;
    for (const Isa supported : SupportedIsas()) {
      if (supported == isa) return isa;
    }
    return Fail(ErrorCode::kUnsupported, "this machine has no " + std::string(name) + "; use --isa auto");
  }
  return Fail(ErrorCode::kInvalidArgument, "unknown instruction set \"" + std::string(name) + "\": use " + IsaChoices());
}

}  // namespace autoglm
