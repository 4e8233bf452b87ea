// Against the test vectors of llama.cpp: ggml-vocab-<name>.gguf with .inp (texts) and .out (token ids) beside it, in the folder
// models of its source. They are large, so AUTOGLM_LLAMA_VOCABS names the folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/test_paths.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

std::optional<std::filesystem::path> VocabularyFolder() {
  const char* const folder = std::getenv("AUTOGLM_LLAMA_VOCABS");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  return folder;
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Example {
  std::string text;
  std::vector<TokenId> ids;
};

std::vector<Example> ReadExamples(const std::filesystem::path& path) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string inputs = ReadText(path.string() + ".inp");
  std::istringstream outputs(ReadText(path.string() + ".out"));
  std::vector<Example> examples;
  for (size_t begin = 0; begin < inputs.size();) {
    const size_t end = inputs.find(kSeparator, begin);
    if (end == std::string::npos) break;
    Example example{.text = inputs.substr(begin, end - begin)};
    std::string line;
    std::getline(outputs, line);
    std::istringstream ids(line);
    example.ids.assign(std::istream_iterator<TokenId>(ids), {});
    examples.push_back(std::move(example));
    begin = end + kSeparator.size();
  }
  return examples;
}

Result<std::unique_ptr<Tokenizer>> Load(const std::filesystem::path& path) {
  AUTOGLM_TRY(const auto file, GgufFile::Open(path));
  return Tokenizer::FromGguf(*file);
}

constexpr auto kSkipped = "needs llama.cpp's vocabularies: set AUTOGLM_LLAMA_VOCABS to the folder models of its source";

TEST(LlamaVocabularies, KnownKinds_EncodeAsLlamaCppDoes) {
  const auto folder = VocabularyFolder();
  if (!folder) GTEST_SKIP() << kSkipped;
  for (const char* const name : {"gpt-2", "llama-bpe", "llama-spm", "qwen2", "phi-3"}) {
    const auto path = *folder / (std::string("ggml-vocab-") + name + ".gguf");
    const auto tokenizer = Load(path);
    ASSERT_TRUE(tokenizer) << name << ": " << tokenizer.error().message;
    const auto examples = ReadExamples(path);
    EXPECT_GT(examples.size(), 40U) << name;
    for (const Example& example : examples) {
      EXPECT_EQ((*tokenizer)->Encode(example.text, SpecialTokens::kPlain), example.ids) << name << ": " << example.text;
      if (std::string_view(name) == "qwen2") continue;  // NFC changes some of the texts
      EXPECT_EQ((*tokenizer)->Decode(example.ids), example.text) << name;
    }
  }
}

TEST(LlamaVocabularies, OtherKinds_AreRefusedByName) {
  const auto folder = VocabularyFolder();
  if (!folder) GTEST_SKIP() << kSkipped;
  for (const char* const name :
       {"bert-bge", "command-r", "deepseek-coder", "falcon", "starcoder", "refact", "gpt-neox", "gemma-4"}) {
    const auto tokenizer = Load(*folder / (std::string("ggml-vocab-") + name + ".gguf"));
    ASSERT_FALSE(tokenizer) << name;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kUnsupported) << name;
    EXPECT_THAT(tokenizer.error().message, testing::HasSubstr("is not known; known are")) << name;
  }
}

TEST(Gemma3, EncodesAsHuggingFaceDoes) {
  const auto model = CachedModel("gemma-3-270m-q4_k_m.gguf");
  const auto expected = ParityFile("real/gemma3/expected.json");
  if (!model || !expected) GTEST_SKIP() << "needs gemma-3-270m-q4_k_m.gguf in the cache folder and the parity fixtures";
  const auto tokenizer = Load(*model);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_TRUE((*tokenizer)->add_bos());
  EXPECT_THAT((*tokenizer)->eos_tokens(), testing::ElementsAre(1, 106));
  const auto json = nlohmann::json::parse(std::ifstream(*expected));
  auto cases = json.at("tokenizer_cases");
  EXPECT_EQ(cases.size(), 17U);
  auto text_ids = json.at("text_ids").get<std::vector<TokenId>>();
  text_ids.erase(text_ids.begin());  // <bos>
  cases.push_back({{"text", json.at("text")}, {"ids", text_ids}});
  for (const auto& example : cases) {
    const auto text = example.at("text").get<std::string>();
    auto ids = (*tokenizer)->Encode(text, SpecialTokens::kParse);
    EXPECT_EQ(ids, example.at("ids").get<std::vector<TokenId>>()) << text;
    EXPECT_EQ((*tokenizer)->Decode(ids), text);
  }
}

}  // namespace
}  // namespace autoglm
