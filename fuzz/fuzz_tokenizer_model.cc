// Any tokenizer.model, SentencePiece's or tiktoken's: an error, or a tokenizer that encodes any text to tokens of its own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tiktoken_file.h"
#include "tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const std::string_view bytes(reinterpret_cast<const char*>(data), num_bytes);
  const std::vector<AddedToken> added = {{.id = 300, .content = "<|end|>", .is_special = true}};
  UseTokenizer(LooksLikeTiktoken(bytes) ? BuildTiktoken(bytes, added) : BuildSentencePieceFile(bytes, added));
  return 0;
}
