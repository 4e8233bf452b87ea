#include "tokenizer/chat_template.h"

namespace autoglm {

std::vector<TokenId> EncodePieces(const Tokenizer& tokenizer, const std::vector<ChatTemplate::Piece>& pieces) {
  std::string text;
  std::vector<bool> is_plain;
  for (const ChatTemplate::Piece& piece : pieces) {
    text += piece.text;
    is_plain.insert(is_plain.end(), piece.text.size(), piece.from_context);
  }
  return tokenizer.EncodeMarked(text, is_plain);
}

}  // namespace autoglm
