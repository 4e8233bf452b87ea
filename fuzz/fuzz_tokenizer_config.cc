// Any tokenizer_config.json beside each kind of tokenizer: an error, or a tokenizer that encodes any text to its own tokens.
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "support/test_paths.h"
#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tiktoken_file.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer_use.h"

namespace autoglm {
namespace {

std::string ReadTiny(std::string_view relative) {
  std::ifstream file(GoldenFile("tokenizer/tiny/" + std::string(relative)), std::ios::binary);
  AUTOGLM_CHECK(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

void UseConfigured(const TokenizerConfig& config, Result<TokenizerModel> model) {
  if (model) {
    const Status applied = ApplyConfig(config, {1}, *model);
    if (!applied) model = tl::unexpected(applied.error());
  }
  UseTokenizer(std::move(model));
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  static const std::string tiktoken = ReadTiny("tiktoken/tokenizer.model");
  static const std::string sentencepiece = ReadTiny("spm/tokenizer.model");
  static const std::string json = ReadTiny("gpt2/tokenizer.json");
  const auto config = TokenizerConfig::Parse({reinterpret_cast<const char*>(data), num_bytes});
  if (!config) {
    AUTOGLM_CHECK(!config.error().message.empty());
    return 0;
  }
  UseConfigured(*config, BuildTiktoken(tiktoken, config->added_tokens));
  UseConfigured(*config, BuildSentencePieceFile(sentencepiece, config->added_tokens));
  UseConfigured(*config, BuildTokenizerJson(json));
  return 0;
}
