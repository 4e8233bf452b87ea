#include "server/text_generation.h"

#include <algorithm>
#include <utility>

namespace autoglm {

TextGeneration::TextGeneration(const Tokenizer& tokenizer, std::vector<std::string> stop, std::shared_ptr<TokenStream> stream)
    : tokenizer_(&tokenizer), stream_(std::move(stream)), detokenizer_(tokenizer), stop_matcher_(std::move(stop)) {}

std::string TextGeneration::Take() {
  std::string text;
  if (finish_) return text;
  update_ = stream_->Take();

  // The engine stops by itself only at an EOS, whose spelling is no part of the answer.
  const bool ends_with_eos = update_.finish == FinishReason::kStop && !update_.tokens.empty() && IsEos(update_.tokens.back());
  if (ends_with_eos) update_.tokens.pop_back();
  for (const TokenId token : update_.tokens) {
    if (!PushToken(token, text)) return text;
  }
  if (ends_with_eos) ++num_completion_tokens_;
  if (!update_.finish) return text;

  if (!PushText(detokenizer_.Flush(), text)) return text;
  text += stop_matcher_.Flush();
  finish_ = update_.finish;
  return text;
}

bool TextGeneration::PushToken(TokenId token, std::string& text) {
  ++num_completion_tokens_;
  return PushText(detokenizer_.Push(token), text);
}

bool TextGeneration::PushText(std::string_view piece, std::string& text) {
  StopMatcher::Output output = stop_matcher_.Push(piece);
  text += output.text;
  if (!output.stopped) return true;
  stream_->Cancel();
  finish_ = FinishReason::kStop;
  return false;
}

bool TextGeneration::IsEos(TokenId token) const {
  const std::vector<TokenId>& eos = tokenizer_->eos_tokens();
  return std::find(eos.begin(), eos.end(), token) != eos.end();
}

}  // namespace autoglm
