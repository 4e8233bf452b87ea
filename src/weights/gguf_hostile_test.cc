// What damaged and hostile files get: a clear error, no crash, no memory beyond a multiple of the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "support/allocation_counter.h"
#include "support/gguf_builder.h"
#include "support/test_paths.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kTypeU8 = 0, kTypeBool = 7, kTypeString = 8, kTypeArray = 9, kTypeU64 = 10;
constexpr uint32_t kF32 = 0, kQ8_0 = 8;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// Allocations stay below this many times the file's size, plus a constant for the object and one message.
constexpr int64_t kMemoryFactor = 12;
constexpr int64_t kMemoryConstant = 4096;

Error ErrorOf(const std::vector<std::byte>& bytes) {
  const AllocationCounter allocations;
  const auto file = GgufFile::Parse(bytes);
  EXPECT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant);
  return file ? Error{ErrorCode::kInternal, "no error"} : file.error();
}

std::vector<std::byte> Zeros(size_t num_bytes) { return std::vector<std::byte>(num_bytes); }
std::vector<std::byte> OnesU64(size_t num_items) {
  GgufBytes ones;
  for (size_t i = 0; i < num_items; ++i) ones.Number(uint64_t{1});
  return ones.bytes();
}

GgufBytes Header(uint64_t num_tensors, uint64_t num_values, uint32_t version = 3) {
  return std::move(GgufBytes().Text("GGUF").Number(version).Number(num_tensors).Number(num_values));
}
GgufBytes ArrayHead(uint32_t type_id, uint64_t num_items) {
  return std::move(GgufBytes().Number(kTypeArray).Number(type_id).Number(num_items));
}

// One of everything, in a few hundred bytes.
std::vector<std::byte> SmallFile() {
  return GgufBuilder()
      .Add("general.architecture", "llama")
      .SetAlignment(16)
      .Add("llama.block_count", 1)
      .Add("flag", GgufValue(true))
      .Add("eps", 1e-5)
      .Add("tokens", std::vector<std::string>{"a", "bc", ""})
      .Add("types", std::vector<int64_t>{1, 3})
      .Add("scores", std::vector<double>{0.5})
      .Add("flags", std::vector<bool>{true, false})
      .AddTensor("token_embd.weight", DType::kF16, {2, 4}, Zeros(16))
      .AddTensor("blk.0.ffn_up.weight", DType::kQ8_0, {1, 2, 32}, Zeros(68))
      .AddTensor("new", 77, {3}, Zeros(5))
      .Build();
}

struct HostileCase {
  std::string name;
  std::vector<std::byte> bytes;
  ErrorCode code;
  std::string message;
};

void PrintTo(const HostileCase& hostile, std::ostream* out) { *out << hostile.name; }

class GgufHostile : public ::testing::TestWithParam<HostileCase> {};

TEST_P(GgufHostile, IsRefusedWithItsReason) {
  const Error error = ErrorOf(GetParam().bytes);
  EXPECT_EQ(error.code, GetParam().code) << error.message;
  EXPECT_THAT(error.message, HasSubstr(GetParam().message));
}

std::vector<HostileCase> HeaderCases() {
  return {
      {"Empty", {}, ErrorCode::kCorruptFile, "not a GGUF file: it is empty"},
      {"OtherMagic",
       GgufBytes()
           .Text("\x7f"
                 "ELF")
           .bytes(),
       ErrorCode::kCorruptFile, "starts with '\\x7fELF'"},
      {"SwappedMagic", GgufBytes().Text("FUGG").bytes(), ErrorCode::kUnsupported, "big-endian"},
      {"SwappedVersion", Header(0, 0, 0x03000000).bytes(), ErrorCode::kUnsupported, "big-endian"},
      {"Version1", Header(0, 0, 1).bytes(), ErrorCode::kUnsupported, "version 1"},
      {"Version4", Header(0, 0, 4).bytes(), ErrorCode::kUnsupported, "version 4"},
      {"OnlyMagic", GgufBytes().Text("GGUF").bytes(), ErrorCode::kCorruptFile, "version at byte 4 needs 4 bytes, but only 0"},
      {"HugeValueCount", Header(0, kHuge).bytes(), ErrorCode::kCorruptFile, "claims 18446744073709551615 metadata values"},
      {"HugeTensorCount", Header(kHuge, 0).bytes(), ErrorCode::kCorruptFile, "claims 18446744073709551615 tensors"},
      {"TensorCountJustAbove", Header(2, 0).Raw(Zeros(65)).bytes(), ErrorCode::kCorruptFile,
       "claims 2 tensors, but only 65 bytes"},
  };
}

HostileCase Value(std::string name, const GgufBytes& stored, ErrorCode code, std::string message) {
  return {std::move(name), GgufBuilder().AddRaw("key", stored).Build(), code, std::move(message)};
}

std::vector<HostileCase> MetadataCases() {
  const auto key_of = [](std::string_view key) { return GgufBuilder().Add(key, 1).Build(); };
  return {
      {"HugeKey", Header(0, 1).Number(kHuge).Raw(Zeros(32)).bytes(), ErrorCode::kCorruptFile, "a metadata key at byte 32 needs"},
      {"EmptyKey", key_of(""), ErrorCode::kCorruptFile, "a metadata key at byte 24 has 0 characters"},
      {"LongKey", key_of(std::string(65536, 'k')), ErrorCode::kCorruptFile, "has 65536 characters"},
      {"UnprintableKey", key_of("a\nb\xff"), ErrorCode::kCorruptFile, "is 'a\\x0ab\\xff'"},
      {"TwiceTheSameKey", GgufBuilder().Add("key", 1).Add("key", 2).Build(), ErrorCode::kCorruptFile, "'key' appears twice"},
      Value("UnknownType", GgufBytes().Number(uint32_t{13}), ErrorCode::kUnsupported, "'key' has the unknown value type 13"),
      Value("HugeString", GgufBytes().Number(kTypeString).Number(kHuge), ErrorCode::kCorruptFile,
            "key at byte 47 needs 18446744073709551615 bytes"),
      Value("BoolOf2", GgufBytes().Number(kTypeBool).Number(uint8_t{2}), ErrorCode::kCorruptFile, "'key' at byte 39 is 2"),
      Value("NumberAboveInt64", GgufBytes().Number(kTypeU64).Number(kHuge), ErrorCode::kUnsupported,
            "'key' holds 18446744073709551615"),
      Value("ItemAboveInt64", ArrayHead(kTypeU64, 1).Number(kHuge), ErrorCode::kUnsupported, "'key' holds 18446744073709551615"),
      Value("ListOfLists", ArrayHead(kTypeArray, 1), ErrorCode::kUnsupported, "'key' is a list of lists"),
      Value("ListOfUnknown", ArrayHead(13, 1), ErrorCode::kUnsupported, "'key' is a list of the unknown value type 13"),
      Value("HugeListOfBytes", ArrayHead(kTypeU8, kHuge), ErrorCode::kCorruptFile,
            "claims 18446744073709551615 items of 1 bytes"),
      Value("ListWhoseBytesOverflow", ArrayHead(kTypeU64, kHuge / 8 + 2), ErrorCode::kCorruptFile, "items of 8 bytes"),
      Value("HugeListOfStrings", ArrayHead(kTypeString, kHuge), ErrorCode::kCorruptFile, "strings of at least 8 bytes"),
      {"ListOfStringsJustAbove", Header(0, 1).String("key").Raw(ArrayHead(kTypeString, 3).bytes()).Raw(Zeros(23)).bytes(),
       ErrorCode::kCorruptFile, "claims 3 strings of at least 8 bytes, but only 23 bytes"},
      Value("HugeListOfBools", ArrayHead(kTypeBool, kHuge), ErrorCode::kCorruptFile, "needs 18446744073709551615 bytes"),
  };
}

HostileCase Tensor(std::string name, std::vector<int64_t> shape, uint32_t type_id, uint64_t offset, std::string message) {
  const GgufBuilder file = GgufBuilder().AddTensor("data", DType::kF32, {16}, Zeros(64)).AddTensorAt("t", type_id, shape, offset);
  return {std::move(name), file.Build(), ErrorCode::kCorruptFile, std::move(message)};
}

std::vector<HostileCase> TensorCases() {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  return {
      Tensor("NoDimensions", {}, kF32, 0, "'t' has 0 dimensions"),
      Tensor("FiveDimensions", {1, 1, 1, 1, 1}, kF32, 0, "'t' has 5 dimensions"),
      Tensor("DimensionOfZero", {4, 0}, kF32, 0, "'t': dimension 0 is 0"),
      Tensor("DimensionAboveInt64", {-1}, kF32, 0, "dimension 0 is 18446744073709551615"),
      Tensor("ElementsOverflow", {int64_t{1} << 32, int64_t{1} << 31}, kF32, 0, "dimension 1 is 4294967296"),
      Tensor("BytesOverflow", {kLargest}, kF32, 0, "larger than any file"),
      Tensor("RowIsNotWholeBlocks", {2, 16}, kQ8_0, 0, "rows of 16 elements, not a multiple of Q8_0's block of 32"),
      Tensor("EndsBeyondTheFile", {17}, kF32, 0, "'t' needs 68 bytes at offset 0, but the file has 64 bytes"),
      Tensor("StartsBeyondTheFile", {1}, kF32, 96, "at offset 96"),
      Tensor("StartsAtTheEnd", {1}, kF32, 64, "at offset 64"),
      Tensor("OffsetOverflows", {16}, kF32, kHuge - 31, "at offset 18446744073709551584"),
      Tensor("OffsetIsNotAligned", {1}, kF32, 16, "offset 16, not a multiple of the alignment 32"),
      Tensor("UnknownTypeIsAlignedToo", {1}, 77, 16, "not a multiple of the alignment"),
      {"EmptyName", GgufBuilder().AddTensor("", DType::kF32, {1}, Zeros(4)).Build(), ErrorCode::kCorruptFile, "a tensor's name"},
      {"TwiceTheSameName", GgufBuilder().AddTensorAt("t", 77, {1}, 0).AddTensor("t", DType::kF32, {1}, Zeros(4)).Build(),
       ErrorCode::kCorruptFile, "the tensor 't' appears twice"},
      {"HeaderEndsInATensor", Header(1, 0).String("t").Number(uint32_t{4}).Raw(OnesU64(3)).Raw(Zeros(2)).bytes(),
       ErrorCode::kCorruptFile, "t at byte 61 needs 8 bytes, but only 2"},
  };
}

HostileCase Alignment(std::string name, const GgufValue& value, std::string message) {
  return {std::move(name), GgufBuilder().Add("general.alignment", value).Build(), ErrorCode::kCorruptFile, std::move(message)};
}

std::vector<HostileCase> AlignmentCases() {
  return {
      Alignment("AlignmentOfZero", int64_t{0}, "general.alignment is 0; it must be a power of two"),
      Alignment("AlignmentNegative", int64_t{-32}, "general.alignment is -32"),
      Alignment("AlignmentNotAPowerOfTwo", int64_t{24}, "general.alignment is 24"),
      Alignment("AlignmentBelowElements", int64_t{4}, "general.alignment is 4"),
      Alignment("AlignmentHuge", int64_t{1} << 62, "general.alignment is 4611686018427387904"),
      Alignment("AlignmentOfText", std::string("32"), "'general.alignment' is a string, not an integer"),
  };
}

std::string CaseName(const ::testing::TestParamInfo<HostileCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Header, GgufHostile, ::testing::ValuesIn(HeaderCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Metadata, GgufHostile, ::testing::ValuesIn(MetadataCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Tensors, GgufHostile, ::testing::ValuesIn(TensorCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Alignment, GgufHostile, ::testing::ValuesIn(AlignmentCases()), CaseName);

// Reads everything a parsed file gives, so that a sanitizer sees a span that leaves the file.
void Touch(const GgufFile& file, std::span<const std::byte> bytes) {
  for (const TensorView& tensor : file.tensors()) {
    ASSERT_GE(tensor.bytes.data(), bytes.data());
    ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes.data() + bytes.size());
    ASSERT_EQ(tensor.row_bytes() * tensor.num_rows(), static_cast<int64_t>(tensor.bytes.size()));
    ASSERT_TRUE(file.FindTensor(tensor.name));
  }
}

TEST(GgufMutation, EveryShorterFileIsRefused) {
  const auto whole = SmallFile();
  ASSERT_TRUE(GgufFile::Parse(whole));
  // The last tensor has an unknown type, so its bytes and the padding before them may be missing unnoticed.
  const size_t last_needed = (*GgufFile::Parse(whole))->tensors().back().bytes.data() + 68 - whole.data();
  for (size_t num_bytes = 0; num_bytes < last_needed; ++num_bytes) {
    const Error error = ErrorOf({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(num_bytes)});
    ASSERT_EQ(error.code, ErrorCode::kCorruptFile) << num_bytes << ": " << error.message;
  }
  EXPECT_TRUE(GgufFile::Parse(std::span(whole).first(last_needed)));
}

TEST(GgufMutation, EveryChangedByteIsReadOrRefused) {
  auto bytes = SmallFile();
  for (std::byte& byte : bytes) {
    const std::byte original = byte;
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      byte = original ^ static_cast<std::byte>(change);
      if (const auto file = GgufFile::Parse(bytes); file) Touch(**file, bytes);
    }
    byte = original;
  }
}

TEST(GgufMutation, RandomDamageIsReadOrRefused) {
  constexpr uint64_t kSeed = 7;
  Random random(kSeed);
  const auto original = SmallFile();
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    bytes.resize(bytes.size() - random.NextBelow(2) * random.NextBelow(bytes.size()));
    for (uint64_t i = random.NextBelow(4); i > 0 && !bytes.empty(); --i) {
      bytes[random.NextBelow(bytes.size())] = static_cast<std::byte>(random.NextU64());
    }
    const AllocationCounter allocations;
    const auto file = GgufFile::Parse(bytes);
    ASSERT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant)
        << "seed " << kSeed << ", round " << round;
    if (file) Touch(**file, bytes);
  }
}

TEST(GgufMemory, TinyKeysAndTensorsCostASmallMultipleOfTheFile) {
  GgufBuilder builder;
  for (int i = 0; i < 5000; ++i) builder.AddRaw(std::to_string(i), GgufBytes().Number(kTypeBool).Number(uint8_t{1}));
  for (int i = 0; i < 5000; ++i) builder.AddTensorAt(std::to_string(i), 77, {1}, 0);
  builder.AddRaw("bytes", ArrayHead(kTypeU8, 100000).Raw(Zeros(100000)));
  const auto bytes = builder.Build();
  const AllocationCounter allocations;
  ASSERT_TRUE(GgufFile::Parse(bytes));
  EXPECT_LE(allocations.num_bytes(), static_cast<int64_t>(bytes.size()) * kMemoryFactor + kMemoryConstant);
}

// Inputs that the fuzzer starts from and those that once made it fail.
TEST(GgufCorpus, EveryInputIsReadOrRefused) {
  int num_inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SourceDir() / "fuzz/corpus/gguf")) {
    std::ifstream input(entry.path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(input)), {});
    const auto text = std::as_bytes(std::span(content));
    const std::vector<std::byte> bytes(text.begin(), text.end());
    if (const auto file = GgufFile::Parse(bytes); file) Touch(**file, bytes);
    ++num_inputs;
  }
  EXPECT_GE(num_inputs, 5);
}

}  // namespace
}  // namespace autoglm
