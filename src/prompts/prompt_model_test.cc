#include "prompts/prompt_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/gguf_builder.h"
#include "support/temporary_folder.h"
#include "support/test_paths.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kTemplate = "{% for m in messages %}<user>{{ m.content }}{% endfor %}";

std::filesystem::path WriteGguf(const TemporaryFolder& folder, const char* chat_template) {
  TinyVocabulary tiny;
  tiny.AddMerge("a", "b");                       // 256
  tiny.AddToken("<user>", TokenType::kControl);  // 257
  GgufBuilder builder;
  builder.Add("tokenizer.ggml.model", std::string("gpt2"));
  builder.Add("tokenizer.ggml.pre", std::string("gpt-2"));
  builder.Add("tokenizer.ggml.tokens", tiny.tokens);
  builder.Add("tokenizer.ggml.token_type", tiny.types);
  builder.Add("tokenizer.ggml.merges", tiny.merges);
  if (chat_template != nullptr) builder.Add("tokenizer.chat_template", std::string(chat_template));
  const auto bytes = builder.Build();
  const std::filesystem::path path = folder.path() / "model.gguf";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  return path;
}

ChatCompletionRequest Saying(const std::string& text) {
  return ParseChatCompletionRequest(R"({"model":"m","messages":[{"role":"user","content":")" + text + R"("}]})").value();
}

TEST(PromptModel, ReadsATokenizerAndATemplateOfAFile) {
  const TemporaryFolder folder;
  const auto model = PromptModel::Load(WriteGguf(folder, kTemplate));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT((*model)->encoder().EncodeChat(Saying("ab")).value(), ElementsAre(257, 256));
  EXPECT_THAT((*model)->encoder().EncodeCompletion("abab").value(), ElementsAre(256, 256));
}

TEST(PromptModel, HasNoChatWithoutATemplate) {
  const TemporaryFolder folder;
  const auto model = PromptModel::Load(WriteGguf(folder, nullptr));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->encoder().EncodeChat(Saying("ab")).error().code, ErrorCode::kUnsupported);
  EXPECT_THAT((*model)->encoder().EncodeCompletion("ab").value(), ElementsAre(256));
}

TEST(PromptModel, ReadsAFolder) {
  const auto model = PromptModel::Load(GoldenFile("tokenizer/tiny/qwen2"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE((*model)->encoder().EncodeCompletion("Hello there").value().empty());
}

TEST(PromptModel, NamesThePathOfWhatItCannotRead) {
  const TemporaryFolder folder;
  EXPECT_THAT(PromptModel::Load("/nowhere/model.gguf").error().message, HasSubstr("/nowhere/model.gguf"));
  EXPECT_THAT(PromptModel::Load(folder.path()).error().message, HasSubstr(folder.path().string()));
  const auto broken = WriteGguf(folder, "{% for %}");
  EXPECT_THAT(PromptModel::Load(broken).error().message, HasSubstr(broken.string()));
}

}  // namespace
}  // namespace autoglm
