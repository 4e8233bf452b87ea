#include "tokenizer/text_encoder.h"

#include <string>

#include "tokenizer/utf8.h"

namespace autoglm {

void TextEncoder::Append(std::string_view text, TextPlace place, std::vector<TokenId>& tokens) const {
  std::string storage;
  while (!text.empty()) {
    const size_t num_valid = ValidUtf8Prefix(text);
    if (num_valid > 0) {
      const std::string_view normalized = normalizer_.Apply(text.substr(0, num_valid), place, storage);
      pre_tokenizer_.Cut(normalized, [&](std::string_view piece) { pieces_->Append(piece, tokens); });
      text.remove_prefix(num_valid);
    }
    const size_t num_invalid = text.empty() ? 0 : ReadUtf8(text).num_bytes;
    for (const char byte : text.substr(0, num_invalid)) pieces_->AppendByte(static_cast<uint8_t>(byte), tokens);
    text.remove_prefix(num_invalid);
    place = TextPlace::kAfterUserDefined;  // the rest continues this stretch
  }
}

}  // namespace autoglm
