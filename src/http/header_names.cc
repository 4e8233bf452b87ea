#include "http/header_names.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace autoglm::http {
namespace {

// Eight at a time: for every header of every message.
bool HasControlCharacter(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighBits = 0x8080808080808080;
  constexpr unsigned char kSpace = ' ';
  for (; text.size() >= sizeof(uint64_t); text.remove_prefix(sizeof(uint64_t))) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, text.data(), sizeof(bytes));
    if (((bytes - kOnes * kSpace) & ~bytes & kHighBits) != 0) return true;  // one of them is below a space
  }
  return std::ranges::any_of(text, [](unsigned char c) { return c < kSpace; });
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsHopByHop(std::string_view name) {
  constexpr std::array<std::string_view, 10> kNames = {
      "connection", "content-length",    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
      "trailer",    "transfer-encoding", "upgrade"};
  return std::ranges::find(kNames, name) != kNames.end();
}

void AppendHeaderText(std::string_view text, std::string& out) {
  const size_t begin = out.size();
  out.append(text);
  if (!HasControlCharacter(text)) return;
  for (size_t i = begin; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
}

void AppendHeaderLine(std::string_view name, std::string_view value, std::string& out) {
  AppendHeaderText(name, out);
  out.append(": ");
  AppendHeaderText(value, out);
  out.append("\r\n");
}

}  // namespace autoglm::http
