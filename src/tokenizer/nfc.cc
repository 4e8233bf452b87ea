#include "tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
constexpr size_t kDecompositionMax = 18;  // code points: of any kind; 4 of the canonical kind used here

std::vector<utf8proc_int32_t> Decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> decomposed;
  decomposed.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  size_t position = 0;
  while (position < text.size()) {
    utf8proc_int32_t code_point = 0;
    const auto num_bytes = utf8proc_iterate(bytes + position, static_cast<utf8proc_ssize_t>(text.size() - position), &code_point);
    AUTOGLM_CHECK(num_bytes > 0);
    position += static_cast<size_t>(num_bytes);

    std::array<utf8proc_int32_t, kDecompositionMax> parts;
    int last_boundary_class = UTF8PROC_BOUNDCLASS_START;
    const auto num_parts = utf8proc_decompose_char(code_point, parts.data(), kDecompositionMax, kCompose, &last_boundary_class);
    AUTOGLM_CHECK(num_parts >= 0 && num_parts <= static_cast<utf8proc_ssize_t>(kDecompositionMax));
    decomposed.insert(decomposed.end(), parts.begin(), parts.begin() + num_parts);
  }
  return decomposed;
}

int CombiningClass(utf8proc_int32_t code_point) { return utf8proc_get_property(code_point)->combining_class; }

// Puts every run of combining marks into canonical order. utf8proc's own loop is quadratic in the length of a run, which a
// hostile prompt could use.
void SortMarks(std::vector<utf8proc_int32_t>& text) {
  auto begin = text.begin();
  while (begin != text.end()) {
    begin = std::find_if(begin, text.end(), [](utf8proc_int32_t c) { return CombiningClass(c) != 0; });
    const auto end = std::find_if(begin, text.end(), [](utf8proc_int32_t c) { return CombiningClass(c) == 0; });
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
}

void AppendNormalized(std::string_view text, std::string& composed) {
  std::vector<utf8proc_int32_t> code_points = Decompose(text);
  SortMarks(code_points);
  const auto length = utf8proc_normalize_utf32(code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()), kCompose);
  AUTOGLM_CHECK(length >= 0);

  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes;
    const auto num_bytes = utf8proc_encode_char(code_points[static_cast<size_t>(i)], bytes.data());
    composed.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(num_bytes));
  }
}

bool IsAscii(char c) { return static_cast<uint8_t>(c) < 0x80; }

}  // namespace

// ASCII never changes and never joins what stands before it, but marks after it may join it: "e" and U+0301. So each run of
// other characters is normalized together with one ASCII character before it.
std::string NormalizeNfc(std::string_view text) {
  std::string composed;
  composed.reserve(text.size());
  while (!text.empty()) {
    const auto* const run = std::find_if_not(text.begin(), text.end(), IsAscii);
    const auto* const end = std::find_if(run, text.end(), IsAscii);
    const auto num_ascii = static_cast<size_t>(run - text.begin());
    const size_t num_copied = run == end || num_ascii == 0 ? num_ascii : num_ascii - 1;
    composed.append(text.substr(0, num_copied));
    AppendNormalized({text.begin() + num_copied, end}, composed);
    text.remove_prefix(static_cast<size_t>(end - text.begin()));
  }
  return composed;
}

bool IsSurelyNfc(std::string_view text) {
  // U+0300 is CC 80: every character below it has a lead byte below 0xCC.
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0xCC; });
}

}  // namespace autoglm
