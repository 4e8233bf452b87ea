#include <fmt/core.h>

#include <array>
#include <ctime>

#include "tokenizer/jinja_functions.h"

namespace autoglm::jinja {
namespace {

// Those of Python's documentation; all but %f, %z and %Z are left to the C library.
constexpr std::string_view kConversions = "aAwdbBmyYHIpMSjUWcxXGuVDFTReCnt%";

Result<std::string> FormatOne(const std::string& conversion, const std::tm& time) {
  std::array<char, 128> buffer{};
  const size_t length = std::strftime(buffer.data(), buffer.size(), conversion.c_str(), &time);
  return std::string(buffer.data(), length);
}

}  // namespace

Result<std::string> FormatTime(std::string_view format, std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm time{};
  if (localtime_r(&seconds, &time) == nullptr) return RenderError("the time is out of range");
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(now - std::chrono::floor<std::chrono::seconds>(now));

  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    std::string conversion = "%";
    ++at;
    // glibc's flag against leading zeros, common in templates.
    if (at < format.size() && format[at] == '-') conversion += format[at++];
    const char letter = at < format.size() ? format[at] : '\0';
    conversion += letter;
    if (letter == 'f') {
      out += fmt::format("{:06}", microseconds.count());
    } else if (letter == 'z' || letter == 'Z') {
      continue;  // Python's datetime.now() has no time zone, and prints none
    } else if (letter != '\0' && kConversions.find(letter) != std::string_view::npos) {
      AUTOGLM_TRY(const std::string part, FormatOne(conversion, time));
      out += part;
    } else {
      return Fail(ErrorCode::kUnsupported, fmt::format("strftime_now does not support '{}'", conversion.substr(0, 3)));
    }
  }
  return out;
}

}  // namespace autoglm::jinja
