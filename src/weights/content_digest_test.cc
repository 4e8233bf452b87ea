#include "weights/content_digest.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "support/temporary_folder.h"
#include "support/test_paths.h"
#include "weights/gguf_file.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

std::vector<char> ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ContentDigestTest : public testing::Test {
 protected:
  std::string DigestOf(const std::vector<char>& bytes, std::string_view name = "model.gguf") const {
    const auto file = GgufFile::Open(folder_.Write(name, std::as_bytes(std::span(bytes))));
    EXPECT_TRUE(file) << file.error().message;
    return ContentDigest(**file);
  }

  const TemporaryFolder folder_;
  const std::filesystem::path original_ = GoldenFile("gguf/llama.gguf");
  std::vector<char> bytes_ = ReadAll(original_);
};

TEST_F(ContentDigestTest, ACopyUnderAnotherName_IsTheSame) {
  EXPECT_EQ(DigestOf(bytes_, "copy.gguf"), ContentDigest(**GgufFile::Open(original_)));
}

TEST_F(ContentDigestTest, HeaderAndTensors_BothCount) {
  const std::string before = DigestOf(bytes_);
  const auto file = *GgufFile::Open(original_);
  const std::string name = file->tensors().front().name;
  const auto at = std::search(bytes_.begin(), bytes_.end(), name.begin(), name.end());
  ASSERT_NE(at, bytes_.end());
  std::vector<char> renamed = bytes_;
  renamed[static_cast<size_t>(at - bytes_.begin())] ^= 1;
  EXPECT_NE(DigestOf(renamed), before);

  const TensorView& last = file->tensors().back();
  std::vector<char> trained_on = bytes_;
  trained_on[trained_on.size() - last.bytes.size() / 2] ^= 1;
  EXPECT_NE(DigestOf(trained_on), before);
}

TEST_F(ContentDigestTest, ShardedFolders_HaveOneToo) {
  const auto folder = SafetensorsFolder::Open(GoldenFile("models/llama"));
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(ContentDigest(**folder).size(), 32u);
  EXPECT_EQ(ContentDigest(**folder), ContentDigest(**SafetensorsFolder::Open(GoldenFile("models/llama"))));
}

}  // namespace
}  // namespace autoglm
