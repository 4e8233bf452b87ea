#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace autoglm {
namespace {

template <typename T>
std::optional<T> ParseWhole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view TrimSpaces(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The power of 1024 that a unit stands for: "" 0, "K" 1, "KB" 1, "KiB" 1, "M" 2, ...
std::optional<int> UnitPower(std::string_view unit) {
  constexpr std::string_view kUnits = "BKMGT";
  if (unit.empty()) return 0;
  const size_t power = kUnits.find(static_cast<char>(unit[0] & ~0x20));
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  const bool is_plain = rest.empty();
  const bool is_long = power > 0 && (rest == "B" || rest == "b" || rest == "iB" || rest == "ib");
  if (!is_plain && !is_long) return std::nullopt;
  return static_cast<int>(power);
}

// By size, in milliseconds.
constexpr std::array<std::pair<std::string_view, int64_t>, 4> kDurationUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};

std::optional<int64_t> MillisecondsIn(std::string_view unit) {
  for (const auto& [name, milliseconds] : kDurationUnits) {
    if (name == unit) return milliseconds;
  }
  return std::nullopt;
}

}  // namespace

Result<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max) {
  const std::optional<int64_t> value = ParseWhole<int64_t>(text);
  if (!value || *value < min || *value > max) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be a whole number from {} to {}, not '{}'", min, max, text));
  }
  return *value;
}

Result<int64_t> ParseIntegerOrAuto(std::string_view text, int64_t max) {
  if (text == "auto") return 0;
  const std::optional<int64_t> value = ParseWhole<int64_t>(text);
  if (!value || *value < 0 || *value > max) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be auto or a whole number up to {}, not '{}'", max, text));
  }
  return *value;
}

Result<double> ParseReal(std::string_view text, double min, double max) {
  const std::optional<double> value = ParseWhole<double>(text);
  if (!value || !(*value >= min && *value <= max)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be a number from {} to {}, not '{}'", min, max, text));
  }
  return *value;
}

Result<int64_t> ParseByteSize(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be a size such as 512M or 2G, not '{}'{}", text, why));
  };
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::optional<double> number = ParseWhole<double>(text.substr(0, unit_at));
  const std::optional<int> power = UnitPower(text.substr(unit_at));
  if (!number || !power) return refuse("");

  // 2^53 bytes is where a double stops counting single bytes, and more than any machine has.
  const double bytes = std::ldexp(*number, 10 * *power);
  if (!(bytes <= 0x1p53)) return refuse(": too large");
  return static_cast<int64_t>(bytes);
}

Result<int64_t> ParseSeconds(std::string_view text, int64_t min, int64_t max) {
  constexpr std::array<std::pair<char, int64_t>, 5> kUnits = {{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}}};
  for (const auto& [unit, seconds] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::optional<int64_t> count = ParseWhole<int64_t>(text.substr(0, text.size() - 1));
    if (count && *count >= 0 && *count <= max / seconds && *count * seconds >= min) return *count * seconds;
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("must be a time such as 90m, 12h or 30d, from {} to {} s, not '{}'", min, max, text));
}

std::string DurationText(std::chrono::milliseconds duration) {
  for (auto unit = kDurationUnits.rbegin(); unit != kDurationUnits.rend(); ++unit) {
    if (duration.count() != 0 && duration.count() % unit->second == 0) {
      return fmt::format("{}{}", duration.count() / unit->second, unit->first);
    }
  }
  return "0";
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text, std::chrono::milliseconds min,
                                                std::chrono::milliseconds max) {
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::optional<double> number = ParseWhole<double>(text.substr(0, unit_at));
  const std::optional<int64_t> unit = text == "0" ? 1 : MillisecondsIn(text.substr(unit_at));
  if (number && unit) {
    const double exact = *number * static_cast<double>(*unit);
    const double rounded = std::round(exact);  // what a double makes of 1.001 s is not whole
    if (std::abs(exact - rounded) < 1e-6 && rounded >= static_cast<double>(min.count()) &&
        rounded <= static_cast<double>(max.count())) {
      return std::chrono::milliseconds(static_cast<int64_t>(rounded));
    }
  }
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be a time such as 250ms, 2s or 5m, from {} to {}, not '{}'",
                                                       DurationText(min), DurationText(max), text));
}

Result<bool> ParseSwitch(std::string_view text) {
  if (text == "true" || text == "on") return true;
  if (text == "false" || text == "off") return false;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be true or false, not '{}'", text));
}

Result<std::string> ParsePlainText(std::string_view text) {
  constexpr size_t kMaxBytes = 4096;
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, "must not be empty");
  if (text.size() > kMaxBytes) return Fail(ErrorCode::kInvalidArgument, fmt::format("must be at most {} bytes", kMaxBytes));
  const bool is_clean = std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!is_clean) return Fail(ErrorCode::kInvalidArgument, "must not hold control characters");
  return std::string(text);
}

Result<bool> ParseUnauthenticated(std::string_view text) {
  if (text == "loopback") return false;
  if (text == "anywhere") return true;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be loopback or anywhere, not '{}'", text));
}

Result<std::vector<int64_t>> ParseIntegerList(std::string_view text, int64_t min, int64_t max) {
  constexpr size_t kMaxItems = 64;
  std::vector<int64_t> values;
  while (true) {
    const size_t comma = text.find(',');
    AUTOGLM_TRY(const int64_t value, ParseInteger(TrimSpaces(text.substr(0, comma)), min, max));
    values.push_back(value);
    if (comma == std::string_view::npos) return values;
    if (values.size() == kMaxItems) return Fail(ErrorCode::kInvalidArgument, fmt::format("takes {} numbers at most", kMaxItems));
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<TokenId>> ParseTokenList(std::string_view text) {
  std::vector<TokenId> tokens;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view item = TrimSpaces(text.substr(0, comma));
    const std::optional<TokenId> token = ParseWhole<TokenId>(item);
    if (!token || *token < 0) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("must be token ids such as 1,2,3; '{}' is none", item));
    }
    tokens.push_back(*token);
    if (comma == std::string_view::npos) return tokens;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace autoglm
