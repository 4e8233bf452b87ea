#include "weights/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/gguf_builder.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> Zeros(size_t num_bytes) { return std::vector<std::byte>(num_bytes); }

TEST(GgufFile, Parse_EmptyFileOfEitherVersion) {
  for (const uint32_t version : {2u, 3u}) {
    const auto bytes = GgufBuilder(version).Build();
    const auto file = GgufFile::Parse(bytes);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->version(), version);
    EXPECT_EQ((*file)->file_bytes(), static_cast<int64_t>(bytes.size()));
    EXPECT_TRUE((*file)->metadata().empty());
    EXPECT_TRUE((*file)->tensors().empty());
  }
}

TEST(GgufFile, Metadata_EveryKindComesBack) {
  const std::vector<std::pair<std::string, GgufValue>> values = {{"bool", true},
                                                                 {"integer", int64_t{-5}},
                                                                 {"float", 1e-5},
                                                                 {"string", std::string("text\0with zero", 14)},
                                                                 {"bools", std::vector<bool>{true, false, true}},
                                                                 {"integers", std::vector<int64_t>{1, -2, INT64_MAX}},
                                                                 {"floats", std::vector<double>{0.5, -1.5}},
                                                                 {"strings", std::vector<std::string>{"", "a", "bc"}},
                                                                 {"none", std::vector<std::string>{}}};
  GgufBuilder builder;
  for (const auto& [key, value] : values) builder.Add(key, value);
  const auto bytes = builder.Build();
  const auto file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->metadata().size(), values.size());
  for (const auto& [key, value] : values) EXPECT_EQ((*file)->metadata().at(key), value) << key;
}

template <typename T>
GgufBytes Scalar(uint32_t type_id, T value) {
  return GgufBytes().Number(type_id).Number(value);
}
template <typename T>
GgufBytes Pair(uint32_t type_id, T first, T second) {
  return GgufBytes().Number(uint32_t{9}).Number(type_id).Number(uint64_t{2}).Number(first).Number(second);
}

TEST(GgufFile, Metadata_NumbersOfEveryWidthWiden) {
  const auto bytes = GgufBuilder()
                         .AddRaw("u8", Scalar<uint8_t>(0, 255))
                         .AddRaw("i8", Scalar<int8_t>(1, -128))
                         .AddRaw("u16", Scalar<uint16_t>(2, 65535))
                         .AddRaw("i16", Scalar<int16_t>(3, -32768))
                         .AddRaw("u32", Scalar<uint32_t>(4, 4294967295u))
                         .AddRaw("i32", Scalar<int32_t>(5, INT32_MIN))
                         .AddRaw("f32", Scalar<float>(6, 0.25f))
                         .AddRaw("u64", Scalar<uint64_t>(10, INT64_MAX))
                         .AddRaw("i64", Scalar<int64_t>(11, INT64_MIN))
                         .AddRaw("f64", Scalar<double>(12, 1e300))
                         .AddRaw("list of u8", Pair<uint8_t>(0, 0, 255))
                         .AddRaw("list of i16", Pair<int16_t>(3, -1, 7))
                         .AddRaw("list of u64", Pair<uint64_t>(10, 0, INT64_MAX))
                         .AddRaw("list of f32", Pair<float>(6, 0.5f, -0.5f))
                         .Build();
  const auto parsed = GgufFile::Parse(bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;
  EXPECT_EQ(*file.Integer("u8"), 255);
  EXPECT_EQ(*file.Integer("i8"), -128);
  EXPECT_EQ(*file.Integer("u16"), 65535);
  EXPECT_EQ(*file.Integer("i16"), -32768);
  EXPECT_EQ(*file.Integer("u32"), 4294967295);
  EXPECT_EQ(*file.Integer("i32"), INT32_MIN);
  EXPECT_EQ(*file.Integer("u64"), INT64_MAX);
  EXPECT_EQ(*file.Integer("i64"), INT64_MIN);
  EXPECT_EQ(*file.Float("f32"), 0.25);
  EXPECT_EQ(*file.Float("f64"), 1e300);
  EXPECT_THAT(*file.FindIntegers("list of u8"), ElementsAre(0, 255));
  EXPECT_THAT(*file.FindIntegers("list of i16"), ElementsAre(-1, 7));
  EXPECT_THAT(*file.FindIntegers("list of u64"), ElementsAre(0, INT64_MAX));
  EXPECT_THAT(*file.FindFloats("list of f32"), ElementsAre(0.5, -0.5));
}

TEST(GgufFile, Lookups_AbsentAndOtherKindAreToldApart) {
  const auto bytes = GgufBuilder().Add("number", 7).Add("text", "seven").Add("yes", GgufValue(true)).Add("half", 0.5).Build();
  const auto parsed = GgufFile::Parse(bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;

  EXPECT_EQ(*file.FindString("text"), "seven");
  EXPECT_EQ(file.FindString("number"), nullptr);
  EXPECT_EQ(file.FindStrings("text"), nullptr);
  EXPECT_TRUE(*file.Bool("yes"));

  EXPECT_EQ(file.Integer("missing").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(file.Integer("missing").error().message, HasSubstr("'missing'"));
  EXPECT_EQ(file.Integer("text").error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(file.Integer("text").error().message, HasSubstr("'text' is a string, not an integer"));
  EXPECT_EQ(file.Float("number").error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(file.Bool("number").error().code, ErrorCode::kCorruptFile);

  EXPECT_EQ(file.IntegerOr("number", 1), 7);
  EXPECT_EQ(file.IntegerOr("missing", 1), 1);
  EXPECT_EQ(file.IntegerOr("text", 1), 1);
  EXPECT_EQ(file.FloatOr("half", 2), 0.5);
  EXPECT_EQ(file.FloatOr("missing", 2), 2);
  EXPECT_TRUE(file.BoolOr("yes", false));
  EXPECT_TRUE(file.BoolOr("missing", true));
}

TEST(GgufFile, Tensors_KeepFileOrderShapeAndBytes) {
  std::vector<std::byte> matrix(2 * 3 * 4, std::byte{7});
  std::vector<std::byte> blocks(5 * 40, std::byte{9});
  const auto bytes =
      GgufBuilder().AddTensor("z", DType::kF32, {2, 3}, matrix).AddTensor("a", DType::kQ4_1, {5, 64}, blocks).Build();
  const auto parsed = GgufFile::Parse(bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "z");
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2, 3));
  EXPECT_TRUE(std::ranges::equal(file.tensors()[0].bytes, matrix));

  const auto found = file.FindTensor("a");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->dtype, DType::kQ4_1);
  EXPECT_THAT((*found)->shape, ElementsAre(5, 64));
  EXPECT_TRUE(std::ranges::equal((*found)->bytes, blocks));
  EXPECT_EQ((*found)->bytes.data() - bytes.data(), static_cast<ptrdiff_t>(bytes.size() - 224));

  EXPECT_FALSE(file.HasTensor("missing"));
  EXPECT_EQ(file.FindTensor("missing").error().code, ErrorCode::kNotFound);
  file.DropPages(**found);
}

TEST(GgufFile, Tensors_MayOverlapAndFollowTheStatedAlignment) {
  const auto bytes = GgufBuilder()
                         .SetAlignment(64)
                         .AddTensor("first", DType::kF32, {16}, Zeros(64))
                         .AddTensor("second", DType::kF32, {1}, Zeros(4))
                         .AddTensorAt("again", 0, {17}, 0)
                         .Build();
  const auto file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*(*file)->FindTensor("second"))->bytes.data() - bytes.data(), static_cast<ptrdiff_t>(bytes.size() - 64));
  EXPECT_EQ((*(*file)->FindTensor("again"))->bytes.size(), 68u);
}

TEST(GgufFile, Tensors_UnknownTypeIsListedAndRefusedWhenAskedFor) {
  const auto bytes = GgufBuilder().AddTensor("new", 99, {7}, Zeros(3)).AddTensor("known", DType::kF16, {4}, Zeros(8)).Build();
  const auto file = GgufFile::Parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->unknown_tensors().size(), 1u);
  EXPECT_EQ((*file)->unknown_tensors()[0].name, "new");
  EXPECT_EQ((*file)->unknown_tensors()[0].type_id, 99u);
  EXPECT_EQ((*file)->tensors().size(), 1u);
  EXPECT_TRUE((*file)->HasTensor("new"));
  EXPECT_EQ((*file)->FindTensor("new").error().code, ErrorCode::kUnsupported);
  EXPECT_THAT((*file)->FindTensor("new").error().message, HasSubstr("type id 99"));
  EXPECT_TRUE((*file)->FindTensor("known"));
}

TEST(GgufFile, Open_MissingFileIsNotFound) {
  EXPECT_EQ(GgufFile::Open("/nowhere/model.gguf").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(GgufFile::Open("/").error().code, ErrorCode::kInvalidArgument);
}

TEST(GgufFile, Open_ErrorNamesTheFile) {
  const auto path = std::filesystem::temp_directory_path() / "gguf_file_test_not_a_model.txt";
  std::ofstream(path) << "hello";
  const auto file = GgufFile::Open(path);
  std::filesystem::remove(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(file.error().message, HasSubstr(path.string()));
  EXPECT_THAT(file.error().message, HasSubstr("starts with 'hell'"));
}

TEST(GgufFile, Open_ReadsTheGoldenModel) {
  const auto parsed = GgufFile::Open(GoldenFile("gguf/llama.gguf"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(*file.FindString("general.architecture"), "llama");
  EXPECT_EQ(*file.Integer("llama.block_count"), 3);
  EXPECT_EQ(*file.Integer("llama.attention.head_count_kv"), 2);
  EXPECT_EQ(file.FindStrings("tokenizer.ggml.tokens")->size(), 512u);
  const auto embedding = file.FindTensor("token_embd.weight");
  ASSERT_TRUE(embedding) << embedding.error().message;
  EXPECT_THAT((*embedding)->shape, ElementsAre(512, 64));
  EXPECT_EQ((*embedding)->bytes.size(), 512u * 64 * 4);

  const float before = *reinterpret_cast<const float*>((*embedding)->bytes.data());
  file.DropPages(**embedding);
  EXPECT_EQ(*reinterpret_cast<const float*>((*embedding)->bytes.data()), before);
}

TEST(GgufFile, Open_ReadsTheRealModel) {
  const auto model = TestModel();
  if (!model) GTEST_SKIP() << "the model is not there: run ./run or set AUTOGLM_TEST_MODEL";
  const auto parsed = GgufFile::Open(*model);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GgufFile& file = **parsed;
  EXPECT_EQ(*file.FindString("general.architecture"), "llama");
  EXPECT_EQ(*file.Integer("llama.block_count"), 30);
  EXPECT_EQ(file.FindStrings("tokenizer.ggml.tokens")->size(), 49152u);
  EXPECT_TRUE(file.unknown_tensors().empty());
  EXPECT_EQ((*file.FindTensor("blk.29.ffn_down.weight"))->num_rows(), 576);
}

TEST(GgufFile, Open_ReadsEveryFixture) {
  const auto folder = ParityFile("gguf");
  if (!folder) GTEST_SKIP() << "the parity fixtures are not there";
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const auto file = GgufFile::Open(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_GT((*file)->tensors().size(), 20u) << entry.path();
    EXPECT_TRUE((*file)->unknown_tensors().empty()) << entry.path();
    ++num_files;
  }
  EXPECT_GT(num_files, 0);
}

}  // namespace
}  // namespace autoglm
