// What damaged and hostile safetensors files get: a clear error, no crash, no memory beyond a multiple of the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "support/allocation_counter.h"
#include "support/safetensors_builder.h"
#include "support/test_paths.h"
#include "weights/safetensors_file.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

// Allocations stay below this many times the file's size, plus a constant for the object and one message.
constexpr int64_t kMemoryFactor = 16;
constexpr int64_t kMemoryConstant = 8192;

struct HostileCase {
  std::string name;
  std::string json;
  std::string message;
  size_t data_bytes = 16;
};

void PrintTo(const HostileCase& hostile, std::ostream* out) { *out << hostile.name; }

class SafetensorsHostile : public ::testing::TestWithParam<HostileCase> {};

TEST_P(SafetensorsHostile, IsRefusedWithItsReason) {
  const auto bytes = SafetensorsBytes(GetParam().json, GetParam().data_bytes);
  const AllocationCounter allocations;
  const auto file = SafetensorsFile::Parse(bytes);
  EXPECT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().message));
}

std::string Tensor(const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
  return R"({"t": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" + offsets + "}}";
}

std::string Two(const std::string& first, const std::string& second) {
  const auto entry = [](const std::string& name, const std::string& offsets) {
    return "\"" + name + R"(": {"dtype": "U8", "shape": [8], "data_offsets": )" + offsets + "}";
  };
  return "{" + entry("a", first) + "," + entry("b", second) + "}";
}

std::vector<HostileCase> JsonCases() {
  return {
      {"EmptyHeader", "", "broken at byte"},
      {"NotJson", "hello", "broken at byte"},
      {"List", "[]", "the header has a list where it may not"},
      {"Number", "7", "the header has a number where it may not"},
      {"CutShort", R"({"t": {"dtype": "F32")", "tensor 't': the JSON is broken"},
      {"TextBehind", "{} {}", "broken at byte"},
      {"NulBehind", std::string("{}\0x", 4), "broken at byte 2"},
      {"InvalidUtf8", "{\"\xff\": 1}", "broken at byte"},
      {"Deep", std::string(100000, '['), "a list where it may not"},
      {"DeepObjects", R"({"a":{"dtype":{"a":{"a":{}}}}})", "tensor 'a' has an object where it may not"},
      {"TensorIsANumber", R"({"t": 7})", "the header has a number where it may not"},
      {"UnknownField", R"({"t": {"dtypo": "F32"}})", "tensor 't' has the unknown field 'dtypo'"},
      {"MissingField", R"({"t": {"dtype": "F32", "shape": [4]}})", "tensor 't' lacks dtype, shape or data_offsets"},
      {"FieldTwice", R"({"t": {"dtype": "F32", "dtype": "F16"}})", "tensor 't' has 'dtype' twice"},
      {"NameTwice", R"({"t": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]}, "t": {}})", "'t' appears twice"},
      {"EmptyName", R"({"": {}})", "a tensor's name has 0 bytes"},
      {"MetadataTwice", R"({"__metadata__": {}, "__metadata__": {}})", "'__metadata__' appears twice"},
      {"MetadataKeyTwice", R"({"__metadata__": {"a": "b", "a": "c"}})", "the metadata has 'a' twice"},
      {"MetadataOfNumbers", R"({"__metadata__": {"a": 7}})", "a number where it may not"},
      {"MetadataIsText", R"({"__metadata__": "a"})", "a string where it may not"},
  };
}

std::vector<HostileCase> TensorCases() {
  return {
      {"DtypeIsANumber", R"({"t": {"dtype": 7}})", "tensor 't' has a number"},
      {"ShapeIsText", R"({"t": {"shape": "4"}})", "tensor 't' has a string"},
      {"ShapeOfTexts", R"({"t": {"shape": ["4"]}})", "tensor 't' has a string"},
      {"NegativeDimension", Tensor("[-4]", "[0, 16]"), "tensor 't' has a number below zero"},
      {"FractionalDimension", Tensor("[4.0]", "[0, 16]"), "tensor 't' has a number with a fraction"},
      {"NestedShape", Tensor("[[4]]", "[0, 16]"), "tensor 't' has a list"},
      {"NineDimensions", Tensor("[1,1,1,1,1,1,1,1,1]", "[0, 4]"), "more than 8 dimensions"},
      {"ElementsOverflow", Tensor("[4294967296, 4294967296]", "[0, 16]"), "a dimension is 4294967296, too large"},
      {"OverflowBehindAZero", Tensor("[0, 4294967296, 4294967296]", "[0, 16]"), "too large"},
      {"DimensionAboveInt64", Tensor("[18446744073709551615]", "[0, 16]"), "too large"},
      {"BytesOverflow", Tensor("[4611686018427387908]", "[0, 16]"), "too large"},
      {"BytesOverflowBesideAZero", Tensor("[0, 2305843009213693952]", "[0, 0]"), "too large"},
      {"NumberAbove64Bits", Tensor("[99999999999999999999]", "[0, 16]"), "beyond 64 bits"},
      {"SizeIsNotTheShapes", Tensor("[3]", "[0, 16]"), "type F32 and shape [3] cannot have 16 bytes"},
      {"SizeOfAnUnknownType", Tensor("[3]", "[0, 16]", "I64"), "type I64 and shape [3] cannot have 16 bytes"},
      {"OneOffset", Tensor("[4]", "[16]"), "data_offsets must have two numbers"},
      {"ThreeOffsets", Tensor("[4]", "[0, 16, 16]"), "data_offsets has more than two numbers"},
      {"NegativeOffset", Tensor("[4]", "[-1, 15]"), "a number below zero"},
      {"EndsBeforeItBegins", Tensor("[4]", "[16, 0]"), "begins at 16, after its end 0"},
      {"EndsBeyondTheFile", Tensor("[5]", "[0, 20]"), "ends at byte 20, but the file has 16 bytes"},
      {"EndsFarBeyondTheFile", Tensor("[4]", "[0, 18446744073709551615]"), "ends at byte 18446744073709551615"},
      {"HoleAtTheStart", Tensor("[3]", "[4, 16]"), "begins at byte 4 of the data, not at 0"},
      {"BytesBehind", Tensor("[3]", "[0, 12]"), "4 bytes after the last tensor belong to none"},
      {"NoTensorsButData", "{}", "16 bytes after the last tensor"},
      {"Overlap", Two("[0, 8]", "[7, 15]"), "tensor 'b' begins at byte 7 of the data, not at 8"},
      {"SamePlace", Two("[0, 8]", "[0, 8]"), "begins at byte 0 of the data, not at 8"},
      {"Hole", Two("[0, 8]", "[9, 17]"), "tensor 'b' begins at byte 9 of the data, not at 8"},
  };
}

std::string CaseName(const ::testing::TestParamInfo<HostileCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Json, SafetensorsHostile, ::testing::ValuesIn(JsonCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Tensors, SafetensorsHostile, ::testing::ValuesIn(TensorCases()), CaseName);

TEST(SafetensorsHostile, HeaderLengthIsBoundedByTheFileAndTheFormat) {
  auto bytes = SafetensorsBytes("{}", 0);
  for (const uint64_t claimed : {uint64_t{3}, uint64_t{100'000'001}, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::memcpy(bytes.data(), &claimed, sizeof(claimed));
    const auto file = SafetensorsFile::Parse(bytes);
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().message, HasSubstr("the header claims " + std::to_string(claimed) + " bytes, but 2 are left"));
  }
  for (size_t num_bytes = 0; num_bytes < 8; ++num_bytes) EXPECT_FALSE(SafetensorsFile::Parse(std::span(bytes).first(num_bytes)));
}

std::vector<std::byte> SmallFile() {
  return SafetensorsBuilder()
      .AddMetadata(R"({"format": "pt"})")
      .Add("a.weight", "BF16", "[2, 4]", std::vector<std::byte>(16))
      .Add("b", "F32", "[1, 3]", std::vector<std::byte>(12))
      .Add("c", "I64", "[1]", std::vector<std::byte>(8))
      .Build();
}

// Reads everything a parsed file gives, so that a sanitizer sees a span that leaves the file.
void Touch(const SafetensorsFile& file, std::span<const std::byte> bytes) {
  for (const TensorView& tensor : file.tensors()) {
    ASSERT_GE(tensor.bytes.data(), bytes.data());
    ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes.data() + bytes.size());
    ASSERT_EQ(tensor.row_bytes() * tensor.num_rows(), static_cast<int64_t>(tensor.bytes.size()));
    ASSERT_TRUE(file.FindTensor(tensor.name));
  }
}

TEST(SafetensorsMutation, EveryShorterFileIsRefused) {
  const auto whole = SmallFile();
  ASSERT_TRUE(SafetensorsFile::Parse(whole));
  for (size_t num_bytes = 0; num_bytes < whole.size(); ++num_bytes) {
    ASSERT_FALSE(SafetensorsFile::Parse(std::span(whole).first(num_bytes))) << num_bytes;
  }
}

TEST(SafetensorsMutation, EveryChangedByteIsReadOrRefused) {
  auto bytes = SmallFile();
  for (std::byte& byte : bytes) {
    const std::byte original = byte;
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      byte = original ^ static_cast<std::byte>(change);
      if (const auto file = SafetensorsFile::Parse(bytes); file) Touch(**file, bytes);
    }
    byte = original;
  }
}

TEST(SafetensorsMutation, RandomDamageIsReadOrRefused) {
  constexpr uint64_t kSeed = 7;
  Random random(kSeed);
  const auto original = SmallFile();
  for (int round = 0; round < 10000; ++round) {
    auto bytes = original;
    for (uint64_t i = 1 + random.NextBelow(4); i > 0; --i) {
      bytes[random.NextBelow(bytes.size())] = static_cast<std::byte>(random.NextU64());
    }
    const AllocationCounter allocations;
    const auto file = SafetensorsFile::Parse(bytes);
    ASSERT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant)
        << "seed " << kSeed << ", round " << round;
    if (file) Touch(**file, bytes);
  }
}

TEST(SafetensorsMemory, TinyTensorsCostASmallMultipleOfTheFile) {
  SafetensorsBuilder builder;
  for (int i = 0; i < 5000; ++i) builder.Add(std::to_string(i), "F32", "[1]", std::vector<std::byte>(4));
  const auto bytes = builder.Build();
  const AllocationCounter allocations;
  ASSERT_TRUE(SafetensorsFile::Parse(bytes));
  EXPECT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant);
}

// Inputs that the fuzzer starts from and those that once made it fail.
TEST(SafetensorsCorpus, EveryInputIsReadOrRefused) {
  int num_inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SourceDir() / "fuzz/corpus/safetensors")) {
    std::ifstream input(entry.path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(input)), {});
    const auto bytes = std::as_bytes(std::span(content));
    if (const auto file = SafetensorsFile::Parse(bytes); file) Touch(**file, bytes);
    ++num_inputs;
  }
  EXPECT_GE(num_inputs, 5);
}

}  // namespace
}  // namespace autoglm
