#include "server/text_generation.h"

#include <algorithm>
#include <utility>

namespace autoglm {

std::string TextGeneration::Take() {
  if (finish_) return {};
  TakeTokens();
  return text_.Take();
}

void TextGeneration::TakeTokens() {
  update_ = stream_->Take();
  std::vector<TokenId>& tokens = update_.tokens;
  // The engine stops by itself only at an EOS, whose spelling is no part of the answer.
  const bool ends_with_eos = update_.finish == FinishReason::kStop && !tokens.empty() && IsEos(tokens.back());
  if (ends_with_eos) tokens.pop_back();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (text_.Push(tokens[i])) continue;
    tokens.resize(i + 1);
    return Stop();
  }
  ends_with_eos_ = ends_with_eos;
  if (!update_.finish) return;
  if (!text_.End()) return Stop();
  finish_ = update_.finish;
}

void TextGeneration::Stop() {
  stream_->Cancel();
  finish_ = FinishReason::kStop;
}

bool TextGeneration::IsEos(TokenId token) const {
  const std::vector<TokenId>& eos = text_.tokenizer().eos_tokens();
  return std::find(eos.begin(), eos.end(), token) != eos.end();
}

}  // namespace autoglm
