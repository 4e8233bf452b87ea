#include "weights/safetensors_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/safetensors_builder.h"
#include "support/temporary_folder.h"
#include "support/test_paths.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::byte> Filled(size_t num_bytes, int value) {
  return std::vector<std::byte>(num_bytes, static_cast<std::byte>(value));
}

TEST(SafetensorsFile, Tensors_KeepShapeTypeAndBytes) {
  const auto bytes = SafetensorsBuilder()
                         .Add("b", "F32", "[2, 3]", Filled(24, 1))
                         .Add("a", "BF16", "[5]", Filled(10, 2))
                         .Add("c", "F16", "[1, 2, 2]", Filled(8, 3))
                         .Build();
  const auto file = SafetensorsFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 3u);
  const TensorView& first = (*file)->tensors()[0];
  EXPECT_EQ(first.name, "b");
  EXPECT_EQ(first.dtype, DType::kF32);
  EXPECT_THAT(first.shape, ElementsAre(2, 3));
  const TensorView* found = *(*file)->FindTensor("a");
  EXPECT_EQ(found->dtype, DType::kBF16);
  EXPECT_TRUE(std::ranges::equal(found->bytes, Filled(10, 2)));
  EXPECT_EQ((*(*file)->FindTensor("c"))->dtype, DType::kF16);
  EXPECT_FALSE((*file)->HasTensor("d"));
  EXPECT_EQ((*file)->FindTensor("d").error().code, ErrorCode::kNotFound);
  (*file)->DropPages(*found);
}

TEST(SafetensorsFile, Tensors_OrderInTheHeaderIsFree) {
  const auto bytes = SafetensorsBytes(R"({"late": {"data_offsets": [4, 8], "shape": [1], "dtype": "F32"},
                                          "early": {"shape": [2], "dtype": "F16", "data_offsets": [0, 4]}})",
                                      8);
  const auto file = SafetensorsFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors()[0].name, "early");
  EXPECT_EQ((*(*file)->FindTensor("late"))->bytes.data(), bytes.data() + bytes.size() - 4);
}

TEST(SafetensorsFile, Tensors_ScalarsAndEmptyOnesAreAllowed) {
  const auto bytes = SafetensorsBuilder().Add("s", "F32", "[]", Filled(4, 0)).Add("e", "F32", "[0, 7]", {}).Build();
  const auto file = SafetensorsFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT((*(*file)->FindTensor("s"))->shape, ElementsAre(1));
  EXPECT_THAT((*(*file)->FindTensor("e"))->shape, ElementsAre(0, 7));
  EXPECT_THAT((*(*file)->FindTensor("e"))->bytes, IsEmpty());
}

TEST(SafetensorsFile, Tensors_UnknownTypesAreListedAndRefusedWhenAskedFor) {
  const auto bytes = SafetensorsBuilder()
                         .Add("i", "I64", "[2]", Filled(16, 0))
                         .Add("f8", "F8_E4M3", "[3]", Filled(3, 0))
                         .Add("new", "F4", "[3]", Filled(2, 0))
                         .Add("known", "F16", "[1]", Filled(2, 0))
                         .Build();
  const auto file = SafetensorsFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->unknown_tensors().size(), 3u);
  EXPECT_EQ((*file)->unknown_tensors()[1].dtype, "F8_E4M3");
  EXPECT_EQ((*file)->tensors().size(), 1u);
  EXPECT_TRUE((*file)->HasTensor("i"));
  EXPECT_EQ((*file)->FindTensor("i").error().code, ErrorCode::kUnsupported);
  EXPECT_THAT((*file)->FindTensor("i").error().message, HasSubstr("'i' has type I64"));
}

TEST(SafetensorsFile, Metadata_TextsComeBack) {
  const auto bytes = SafetensorsBuilder().AddMetadata(R"({"format": "pt", "note": "h\u00e4"})").Build();
  const auto file = SafetensorsFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  EXPECT_EQ((*file)->metadata().at("note"), "h\xc3\xa4");
  EXPECT_THAT((*file)->tensors(), IsEmpty());
}

TEST(SafetensorsFile, Open_ErrorNamesTheFile) {
  const TemporaryFolder folder;
  const auto path = folder.Write("model.safetensors", "hello");
  const auto file = SafetensorsFile::Open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(file.error().message, HasSubstr(path.string()));
  EXPECT_EQ(SafetensorsFile::Open("/nowhere/model.safetensors").error().code, ErrorCode::kNotFound);
}

TEST(SafetensorsFile, Open_ReadsAFileAndDropsItsPages) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1.5f, -2, 3};
  const auto path =
      folder.Write("m.safetensors", SafetensorsBuilder().Add("v", "F32", "[3]", std::as_bytes(std::span(values))).Build());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const TensorView* tensor = *(*file)->FindTensor("v");
  (*file)->DropPages(*tensor);
  std::vector<float> read(3);
  DequantizeRow(*tensor, 0, read);
  EXPECT_EQ(read, values);
}

TEST(SafetensorsFile, Open_ReadsTheGoldenReference) {
  const auto file = SafetensorsFile::Open(GoldenFile("models/llama/reference.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_GT((*file)->tensors().size(), 4u);
  EXPECT_EQ((*file)->FindTensor("short.input_ids").error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace autoglm
