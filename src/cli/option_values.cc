#include "cli/option_values.h"

#include <fmt/format.h>

#include <optional>

#include "config/values.h"

namespace autoglm {
namespace {

constexpr NameTable<Arithmetic, 3> kArithmetics = {
    {{"fast", Arithmetic::kFast}, {"mixed", Arithmetic::kMixed}, {"exact", Arithmetic::kExact}}};
constexpr NameTable<KvType, 3> kKvTypes = {{{"bf16", KvType::kBf16}, {"int8", KvType::kInt8}, {"f32", KvType::kF32}}};
constexpr NameTable<WeightPrecision, 2> kPrecisions = {
    {{"as-stored", WeightPrecision::kAsStored}, {"int8", WeightPrecision::kInt8}}};
constexpr NameTable<LogLevel, 4> kLogLevels = {
    {{"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}}};

}  // namespace

Result<Arithmetic> ParseArithmetic(std::string_view text) { return ParseName(text, kArithmetics); }
std::string_view ArithmeticName(Arithmetic arithmetic) { return NameIn(kArithmetics, arithmetic); }

Result<std::optional<KvType>> ParseKvType(std::string_view text) {
  if (text == "auto") return std::nullopt;
  const Result<KvType> type = ParseName(text, kKvTypes);
  if (type) return *type;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of auto, bf16, int8, f32, not '{}'", text));
}
std::string_view KvTypeName(KvType type) { return NameIn(kKvTypes, type); }

Result<WeightPrecision> ParsePrecision(std::string_view text) { return ParseName(text, kPrecisions); }
std::string_view PrecisionName(WeightPrecision precision) { return NameIn(kPrecisions, precision); }

Result<LogLevel> ParseLogLevel(std::string_view text) { return ParseName(text, kLogLevels); }
std::string_view LogLevelName(LogLevel level) { return NameIn(kLogLevels, level); }

Result<bool> ParseSpeculation(std::string_view text) {
  if (text == "auto") return true;
  if (text == "off") return false;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be auto or off, not '{}'", text));
}

}  // namespace autoglm
