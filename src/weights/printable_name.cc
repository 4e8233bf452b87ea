#include "weights/printable_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm {
namespace {

constexpr size_t kNameCharactersShown = 80;

bool IsPrintableCharacter(char c) { return c >= 0x20 && c <= 0x7e; }

}  // namespace

std::string PrintableName(std::string_view name) {
  std::string printable;
  for (const char c : name.substr(0, kNameCharactersShown)) {
    if (IsPrintableCharacter(c)) {
      printable += c;
    } else {
      printable += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (name.size() > kNameCharactersShown) printable += "...";
  return printable;
}

bool IsPrintable(std::string_view text) { return std::ranges::all_of(text, IsPrintableCharacter); }

}  // namespace autoglm
