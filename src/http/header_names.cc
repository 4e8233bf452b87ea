#include "http/header_names.h"

#include <algorithm>
#include <array>

namespace autoglm::http {

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
  for (size_t i = begin; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
}

}  // namespace autoglm::http
