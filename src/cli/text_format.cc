#include "cli/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace autoglm {
namespace {

// `value` in the largest unit that leaves at least 1 in front of the point after rounding; plain where it is below `base`.
std::string WithUnit(int64_t value, double base, const std::array<const char*, 5>& units) {
  double scaled = static_cast<double>(value);
  size_t unit = 0;
  while (unit + 1 < units.size() && std::abs(scaled) >= base - 0.05) {
    scaled /= base;
    ++unit;
  }
  if (unit == 0) return fmt::format("{}{}", value, units[0]);
  return fmt::format("{:.1f}{}", scaled, units[unit]);
}

}  // namespace

std::string FormatBytes(int64_t bytes) { return WithUnit(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB"}); }

std::string FormatCount(int64_t count) { return WithUnit(count, 1000, {"", " K", " M", " B", " T"}); }

std::string FormatSeconds(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 59.995) return fmt::format("{:.2f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string FormatMilliseconds(double milliseconds) {
  if (milliseconds >= 1000) return fmt::format("{:.2f} s", milliseconds / 1000);
  if (milliseconds >= 100) return fmt::format("{:.0f} ms", milliseconds);
  return milliseconds >= 1 ? fmt::format("{:.1f} ms", milliseconds) : fmt::format("{:.3f} ms", milliseconds);
}

std::vector<std::string> WrapText(std::string_view text, int columns) {
  std::vector<std::string> lines;
  std::string line;
  const auto end_line = [&] {
    lines.push_back(std::move(line));
    line.clear();
  };
  while (true) {
    const size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    if (!line.empty() && line.size() + 1 + word.size() > static_cast<size_t>(columns)) end_line();
    if (!line.empty() && !word.empty()) line += ' ';
    line += word;
    if (end == std::string_view::npos) break;
    if (text[end] == '\n') end_line();
    text.remove_prefix(end + 1);
  }
  end_line();
  return lines;
}

std::string FormatTable(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("  {:<{}}  {}\n", name, width, value);
  return text;
}

std::string FormatColumns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) text += fmt::format("{:<{}}", row[i], widths[i] + 2);
    text += row.back() + "\n";
  }
  return text;
}

std::string StripControlCharacters(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) {
      ++i;  // U+0080..U+009F as UTF-8: U+009B starts a sequence on some terminals
      continue;
    }
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f) continue;
    safe += text[i];
  }
  return safe;
}

}  // namespace autoglm
