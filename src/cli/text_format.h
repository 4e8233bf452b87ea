#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm {

// "917 B", "89.1 MiB"; powers of 1024.
std::string FormatBytes(int64_t bytes);
// "512", "49.2 K", "134.5 M", "8.0 B"; powers of 1000.
std::string FormatCount(int64_t count);
// "87 ms", "1.24 s", "3 min 20 s".
std::string FormatSeconds(double seconds);

// With three digits or so: "0.021 ms", "4.5 ms", "320 ms", "1.24 s".
std::string FormatMilliseconds(double milliseconds);

// Breaks at spaces so that no line is longer than `columns`, unless one word is. Line breaks in `text` stay.
std::vector<std::string> WrapText(std::string_view text, int columns);

// "  name   value" lines, values under each other.
std::string FormatTable(const std::vector<std::pair<std::string, std::string>>& rows);

// Lines whose cells stand under each other; all rows are as long as the first.
std::string FormatColumns(const std::vector<std::vector<std::string>>& rows);

// What is safe to send to a terminal: control characters other than line feed and tab are left out, so that a model cannot
// move the cursor or change the title.
std::string StripControlCharacters(std::string_view text);

}  // namespace autoglm
