#include "weights/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/temporary_folder.h"
#include "support/test_paths.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> Counting(size_t num_bytes) {
  std::vector<std::byte> bytes(num_bytes);
  for (size_t i = 0; i < num_bytes; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

// The file that a header without tensors makes.
std::unique_ptr<GgufFile> Written(const TemporaryFolder& folder, const GgufHeader& header) {
  auto writer = GgufWriter::Create(folder.path() / "a.gguf", header);
  EXPECT_TRUE(writer && writer->Commit());
  auto file = GgufFile::Open(folder.path() / "a.gguf");
  EXPECT_TRUE(file) << file.error().message;
  return *std::move(file);
}

std::string ErrorOf(const Status& status) {
  EXPECT_FALSE(status);
  if (status) return "no error";
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  return status.error().message;
}

TEST(GgufWriter, Metadata_EveryKindComesBack) {
  const std::vector<std::pair<std::string, GgufValue>> values = {{"bool", true},
                                                                 {"small", int64_t{7}},
                                                                 {"negative", int64_t{-5}},
                                                                 {"large", int64_t{INT64_MIN}},
                                                                 {"float", 0.25},
                                                                 {"string", std::string("text\0with zero", 14)},
                                                                 {"bools", std::vector<bool>{true, false, true}},
                                                                 {"integers", std::vector<int64_t>{1, -2}},
                                                                 {"counts", std::vector<int64_t>{1, UINT32_MAX}},
                                                                 {"large integers", std::vector<int64_t>{-1, INT64_MAX}},
                                                                 {"floats", std::vector<double>{0.5, -1.5}},
                                                                 {"strings", std::vector<std::string>{"", "a", "bc"}},
                                                                 {"none", std::vector<std::string>{}},
                                                                 {"no floats", std::vector<double>{}}};
  GgufHeader header;
  for (const auto& [key, value] : values) ASSERT_TRUE(header.Add(key, value)) << key;
  const TemporaryFolder folder;
  const auto file = Written(folder, header);
  EXPECT_EQ(file->version(), 3u);
  ASSERT_EQ(file->metadata().size(), values.size());
  for (const auto& [key, value] : values) EXPECT_EQ(file->metadata().at(key), value) << key;
}

TEST(GgufWriter, Metadata_StoredWidthsAreThoseAsked) {
  const TemporaryFolder folder;
  const auto stored_bytes = [&](GgufType type, const GgufValue& value) {
    GgufHeader header;
    EXPECT_TRUE(header.AddAs(type, "0123456789", value));  // the value begins at byte 24 + 8 + 10
    const auto file = Written(folder, header);
    EXPECT_EQ(file->metadata().at("0123456789"), value);
    const auto mapped = MappedFile::Open(folder.path() / "a.gguf");
    return std::to_integer<int>(mapped->bytes()[42]);
  };
  for (const GgufType type : {GgufType::kUint8, GgufType::kInt8, GgufType::kUint16, GgufType::kInt16, GgufType::kUint32,
                              GgufType::kInt32, GgufType::kUint64, GgufType::kInt64}) {
    EXPECT_EQ(stored_bytes(type, int64_t{100}), static_cast<int>(type));
    EXPECT_EQ(stored_bytes(type, std::vector<int64_t>{1, 100}), static_cast<int>(GgufType::kArray));
  }
  EXPECT_EQ(stored_bytes(GgufType::kFloat32, 0.5), 6);
  EXPECT_EQ(stored_bytes(GgufType::kFloat64, 1e-5), 12);
}

TEST(GgufWriter, Metadata_UsualWidthsAreThoseReadersExpect) {
  const TemporaryFolder folder;
  const auto usual_type = [&](const GgufValue& value, size_t at) {
    GgufHeader header;
    EXPECT_TRUE(header.Add("0123456789", value));
    Written(folder, header);
    const auto mapped = MappedFile::Open(folder.path() / "a.gguf");
    return static_cast<GgufType>(mapped->bytes()[at]);
  };
  EXPECT_EQ(usual_type(int64_t{32}, 42), GgufType::kUint32);
  EXPECT_EQ(usual_type(int64_t{-1}, 42), GgufType::kInt32);
  EXPECT_EQ(usual_type(int64_t{1} << 40, 42), GgufType::kInt64);
  EXPECT_EQ(usual_type(1e-5, 42), GgufType::kFloat32);
  EXPECT_EQ(usual_type(std::vector<int64_t>{1, 3}, 46), GgufType::kInt32);
  EXPECT_EQ(usual_type(std::vector<double>{1, 3}, 46), GgufType::kFloat32);
}

TEST(GgufWriter, Metadata_WhatDoesNotFitIsRefused) {
  GgufHeader header;
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kUint8, "k", int64_t{256})), HasSubstr("'k' is an integer that does not fit"));
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kUint64, "k", int64_t{-1})), HasSubstr("does not fit"));
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kFloat32, "k", 1e300)), HasSubstr("'k' is a float"));
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kString, "k", true)), HasSubstr("'k' is true or false"));
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kInt8, "k", std::vector<int64_t>{1, 128})), HasSubstr("'k' is a list of integers"));
  EXPECT_THAT(ErrorOf(header.AddAs(GgufType::kArray, "k", std::vector<bool>{})), HasSubstr("does not fit"));
  EXPECT_TRUE(header.Add("k", int64_t{1}));  // nothing of the refused ones stayed
  const TemporaryFolder folder;
  EXPECT_EQ(*Written(folder, header)->Integer("k"), 1);
}

TEST(GgufWriter, Names_WhatGgufFileRefusesIsRefused) {
  GgufHeader header;
  ASSERT_TRUE(header.Add("k", int64_t{1}));
  EXPECT_THAT(ErrorOf(header.Add("k", int64_t{2})), HasSubstr("'k' is given twice"));
  EXPECT_THAT(ErrorOf(header.Add("", int64_t{2})), HasSubstr("is no name"));
  EXPECT_THAT(ErrorOf(header.Add("a\n", int64_t{2})), HasSubstr("'a\\x0a' is no name"));
  EXPECT_THAT(ErrorOf(header.Add("general.alignment", int64_t{64})), HasSubstr("general.alignment is 32, it cannot be set"));
  ASSERT_TRUE(header.AddTensor("t", DType::kF32, {1}));
  EXPECT_THAT(ErrorOf(header.AddTensor("t", DType::kF32, {1})), HasSubstr("'t' is given twice"));
  EXPECT_THAT(ErrorOf(header.AddTensor("", DType::kF32, {1})), HasSubstr("is no name"));
}

TEST(GgufWriter, Tensors_ShapesGgufFileRefusesAreRefused) {
  GgufHeader header;
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {}, {0}, {-1}, {1, 1, 1, 1, 1}, {INT64_MAX}, {int64_t{1} << 31, int64_t{1} << 32}, {4, 0}}) {
    EXPECT_THAT(ErrorOf(header.AddTensor("t", DType::kF32, shape)), HasSubstr("the tensor 't' cannot be F32 of shape ["));
  }
  EXPECT_THAT(ErrorOf(header.AddTensor("t", DType::kQ4_K, {2, 640})), HasSubstr("cannot be Q4_K of shape [2, 640]"));
}

TEST(GgufWriter, Tensors_KeepOrderShapeBytesAndAlignment) {
  const auto odd = Counting(7 * 4);
  const auto blocks = Counting(3 * 288);
  const auto last = Counting(2);
  GgufHeader header;
  ASSERT_TRUE(header.Add("general.architecture", std::string("llama")));
  ASSERT_TRUE(header.AddTensor("z", DType::kF32, {7}));
  ASSERT_TRUE(header.AddTensor("a", DType::kQ4_K, {3, 512}));
  ASSERT_TRUE(header.AddTensor("h", DType::kF16, {1, 1, 1}));
  const TemporaryFolder folder;
  const auto target = folder.path() / "m.gguf";
  auto writer = GgufWriter::Create(target, header);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(writer->Write(odd));
  for (size_t row = 0; row < 3; ++row) ASSERT_TRUE(writer->Write(std::span(blocks).subspan(row * 288, 288)));
  EXPECT_FALSE(std::filesystem::exists(target));
  ASSERT_TRUE(writer->Write(last));
  ASSERT_TRUE(writer->Commit());

  const auto file = GgufFile::Open(target);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 3u);
  const auto& tensors = (*file)->tensors();
  EXPECT_EQ(tensors[0].name, "z");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{3, 512}));
  EXPECT_EQ(tensors[2].shape, (std::vector<int64_t>{1, 1, 1}));
  EXPECT_TRUE(std::ranges::equal(tensors[0].bytes, odd));
  EXPECT_TRUE(std::ranges::equal(tensors[1].bytes, blocks));
  EXPECT_TRUE(std::ranges::equal(tensors[2].bytes, last));
  EXPECT_EQ((*file)->file_bytes() % 32, 0);
  for (const TensorView& tensor : tensors) EXPECT_EQ((tensor.bytes.data() - tensors[0].bytes.data()) % 32, 0);
}

TEST(GgufWriter, GoldenModel_SurvivesACopy) {
  const auto original = GgufFile::Open(GoldenFile("gguf/llama.gguf"));
  ASSERT_TRUE(original) << original.error().message;
  GgufHeader header;
  for (const auto& [key, value] : (*original)->metadata()) {
    ASSERT_TRUE(header.Add(key, value)) << key;
  }
  for (const TensorView& tensor : (*original)->tensors()) ASSERT_TRUE(header.AddTensor(tensor.name, tensor.dtype, tensor.shape));
  const TemporaryFolder folder;
  auto writer = GgufWriter::Create(folder.path() / "copy.gguf", header);
  ASSERT_TRUE(writer) << writer.error().message;
  for (const TensorView& tensor : (*original)->tensors()) ASSERT_TRUE(writer->Write(tensor.bytes));
  ASSERT_TRUE(writer->Commit());

  const auto copy = GgufFile::Open(folder.path() / "copy.gguf");
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ((*copy)->metadata(), (*original)->metadata());
  ASSERT_EQ((*copy)->tensors().size(), (*original)->tensors().size());
  for (const TensorView& tensor : (*original)->tensors()) {
    EXPECT_TRUE(std::ranges::equal((*(*copy)->FindTensor(tensor.name))->bytes, tensor.bytes)) << tensor.name;
  }
}

TEST(GgufWriter, FullDisk_IsAnErrorAndNothingIsLeft) {
  GgufHeader header;
  ASSERT_TRUE(header.AddTensor("t", DType::kF32, {1 << 20}));
  const TemporaryFolder folder;
  auto* old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit{.rlim_cur = 1 << 20, .rlim_max = old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const auto write_all = [&]() -> Status {
    AUTOGLM_TRY(GgufWriter writer, GgufWriter::Create(folder.path() / "m.gguf", header));
    return writer.Write(Counting(4 << 20));
  };
  const Status written = write_all();
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kIo);
  EXPECT_THAT(written.error().message, HasSubstr((folder.path() / "m.gguf").string()));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufWriter, Create_MissingFolderIsNotFound) {
  const auto writer = GgufWriter::Create("/nowhere/m.gguf", GgufHeader());
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::kNotFound);
}

TEST(GgufWriterDeathTest, BytesThatAreNotTheHeadersAreABug) {
  GgufHeader header;
  ASSERT_TRUE(header.AddTensor("t", DType::kF32, {2}));
  const TemporaryFolder folder;
  auto writer = GgufWriter::Create(folder.path() / "m.gguf", header);
  ASSERT_TRUE(writer);
  EXPECT_DEATH(EXPECT_TRUE(writer->Write(Counting(9))), "tensor_bytes");
  EXPECT_DEATH(EXPECT_TRUE(writer->Commit()), "tensor_index_");
  ASSERT_TRUE(writer->Write(Counting(8)));
  EXPECT_DEATH(EXPECT_TRUE(writer->Write(Counting(1))), "tensor_index_");
}

}  // namespace
}  // namespace autoglm
