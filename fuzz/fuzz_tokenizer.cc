// Text to tokens and back with a small real vocabulary: no byte may be lost, however the text is cut.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "support/test_paths.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

const Tokenizer& ToyTokenizer() {
  static const auto* const tokenizer = [] {
    const auto file = GgufFile::Open(GoldenFile("gguf/llama.gguf"));
    AUTOGLM_CHECK(file.has_value());
    auto loaded = Tokenizer::FromGguf(**file);
    AUTOGLM_CHECK(loaded.has_value());
    return loaded->release();
  }();
  return *tokenizer;
}

// What a stream delivers for these tokens, piece by piece.
std::string Stream(const std::vector<TokenId>& tokens) {
  Detokenizer detokenizer(ToyTokenizer());
  std::string text;
  for (const TokenId token : tokens) text += detokenizer.Push(token);
  return text + detokenizer.Flush();
}

// Whether every sequence of bytes is a character of UTF-8 (RFC 3629).
bool IsUtf8(std::string_view text) {
  const auto byte_at = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const uint8_t lead = byte_at(i);
    const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length == 0 || length > text.size() - i) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte_at(i + k) & 0xc0) != 0x80) return false;
    }
    if (lead == 0xe0 && byte_at(i + 1) < 0xa0) return false;
    if (lead == 0xed && byte_at(i + 1) >= 0xa0) return false;
    if (lead == 0xf0 && byte_at(i + 1) < 0x90) return false;
    if (lead == 0xf4 && byte_at(i + 1) >= 0x90) return false;
    i += length;
  }
  return true;
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const std::string_view text(reinterpret_cast<const char*>(data), num_bytes);
  const auto plain = ToyTokenizer().Encode(text, SpecialTokens::kPlain);
  for (const TokenId token : plain) AUTOGLM_CHECK(token >= 0 && token < ToyTokenizer().vocab_size());
  AUTOGLM_CHECK(ToyTokenizer().Decode(plain) == text);

  const std::string streamed = Stream(plain);
  AUTOGLM_CHECK(IsUtf8(streamed));
  if (IsUtf8(text)) AUTOGLM_CHECK(streamed == text);

  // Control tokens have no text of their own, so only the shape is checked here.
  (void)Stream(ToyTokenizer().Encode(text, SpecialTokens::kParse));
  return 0;
}
