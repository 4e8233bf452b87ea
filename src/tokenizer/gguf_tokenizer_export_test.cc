#include "tokenizer/gguf_tokenizer_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "support/test_paths.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

std::map<std::string, GgufValue> Exported(const std::string& kind, int64_t vocab_size) {
  auto metadata = ExportTokenizer(GoldenFile("tokenizer/tiny/" + kind), {}, vocab_size);
  EXPECT_TRUE(metadata) << kind << ": " << metadata.error().message;
  if (!metadata) return {};
  return {metadata->begin(), metadata->end()};
}

TEST(ExportTokenizer, EveryKindThatGgufHasANameFor_KeepsItsTokens) {
  for (const std::string kind : {"smollm", "gpt2", "cl100k", "qwen2"}) {
    const auto folder = Tokenizer::FromFolder(GoldenFile("tokenizer/tiny/" + kind), {});
    ASSERT_TRUE(folder) << folder.error().message;
    const int64_t vocab_size = (*folder)->vocab_size() + 7;  // models have more rows than tokens
    const auto metadata = Exported(kind, vocab_size);
    ASSERT_FALSE(metadata.empty());
    const auto& tokens = std::get<std::vector<std::string>>(metadata.at("tokenizer.ggml.tokens"));
    EXPECT_EQ(std::ssize(tokens), vocab_size);
    const auto written = Tokenizer::Create({.model = std::get<std::string>(metadata.at("tokenizer.ggml.model")),
                                            .pre = std::get<std::string>(metadata.at("tokenizer.ggml.pre")),
                                            .tokens = tokens,
                                            .types = std::get<std::vector<int64_t>>(metadata.at("tokenizer.ggml.token_type")),
                                            .merges = std::get<std::vector<std::string>>(metadata.at("tokenizer.ggml.merges"))});
    ASSERT_TRUE(written) << kind << ": " << written.error().message;
    for (const char* text : {"The year 2026, isn't it?\n\n  Yes\u2026", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 123 abc\tdef"}) {
      EXPECT_EQ((*written)->Encode(text, SpecialTokens::kParse), (*folder)->Encode(text, SpecialTokens::kParse)) << kind;
    }
  }
}

TEST(ExportTokenizer, PreTokenizers_AreToldApart) {
  const auto pre = [](const std::string& kind) { return std::get<std::string>(Exported(kind, 3000).at("tokenizer.ggml.pre")); };
  EXPECT_EQ(pre("smollm"), "smollm");
  EXPECT_EQ(pre("gpt2"), "gpt-2");
  EXPECT_EQ(pre("qwen2"), "qwen2");
}

TEST(ExportTokenizer, OthersAreRefused) {
  for (const std::string kind : {"spm", "tiktoken", "llama2", "gemma", "metaspace", "inverted"}) {
    const auto metadata = ExportTokenizer(GoldenFile("tokenizer/tiny/" + kind), {}, 100'000);
    ASSERT_FALSE(metadata) << kind;
    EXPECT_EQ(metadata.error().code, ErrorCode::kUnsupported) << kind << ": " << metadata.error().message;
  }
  EXPECT_EQ(ExportTokenizer(GoldenFile("tokenizer/tiny/smollm"), {}, 10).error().code, ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace autoglm
