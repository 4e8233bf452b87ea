#include "tokenizer/text_encoder.h"

#include <string>

#include "base/utf8.h"

namespace autoglm {

void TextEncoder::Append(std::string_view text, TextPlace place, std::vector<TokenId>& tokens) const {
  std::string storage;
  while (!text.empty()) {
    const size_t num_valid = ValidUtf8Prefix(text);
    if (num_valid > 0) {
      AppendNormalized(normalizer_.Apply(text.substr(0, num_valid), place, storage), tokens);
      text.remove_prefix(num_valid);
    }
    const size_t num_invalid = text.empty() ? 0 : ReadUtf8(text).num_bytes;
    for (const char byte : text.substr(0, num_invalid)) pieces_->AppendByte(static_cast<uint8_t>(byte), tokens);
    text.remove_prefix(num_invalid);
    place = TextPlace::kAfterUserDefined;  // the rest continues this stretch
  }
}

void TextEncoder::AppendNormalized(std::string_view text, std::vector<TokenId>& tokens) const {
  size_t position = 0;
  while (position < text.size()) {
    const auto special = user_defined_ ? user_defined_->FindNext(text, position, PlainBytes::All()) : std::nullopt;
    const size_t end = special ? special->begin : text.size();
    pre_tokenizer_.Cut(text.substr(position, end - position), [&](std::string_view piece) { pieces_->Append(piece, tokens); });
    if (!special) return;
    tokens.push_back(special->token);
    position = end + special->num_bytes;
  }
}

}  // namespace autoglm
