#include "weights/gguf_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"
#include "weights/gguf_reader.h"
#include "weights/gguf_type.h"
#include "weights/printable_name.h"

namespace autoglm {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kSwappedMagic = "FUGG";
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr int64_t kDefaultAlignment = 32;

// The least a metadata value (key of one character, type, one byte) and a tensor (name of one character, one dimension)
// take in the file: they bound the two counts before anything is allocated for them.
constexpr size_t kValueBytesMin = 8 + 1 + 4 + 1;
constexpr size_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;  // row-major: the reverse of the file's order
  uint32_t type_id = 0;
  uint64_t offset = 0;
};

template <typename... Args>
tl::unexpected<Error> FailCorrupt(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(ErrorCode::kCorruptFile, "GGUF: " + fmt::format(format, std::forward<Args>(args)...));
}

Status CheckMagic(GgufReader& reader, std::span<const std::byte> bytes) {
  if (bytes.empty()) return FailCorrupt("not a GGUF file: it is empty");
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kMagic.size()));
  if (start == kSwappedMagic) return Fail(ErrorCode::kUnsupported, "GGUF: big-endian files are not supported");
  if (start != kMagic) return FailCorrupt("not a GGUF file: it starts with '{}', not 'GGUF'", PrintableName(start));
  return reader.Read<uint32_t>("magic").map([](uint32_t) {});
}

Result<uint32_t> ReadVersion(GgufReader& reader) {
  AUTOGLM_TRY(const auto version, reader.Read<uint32_t>("version"));
  if (version == 2 || version == 3) return version;
  // Big-endian files keep the magic's order of bytes and swap the version's.
  if (version != 0 && (version & 0xffff) == 0) return Fail(ErrorCode::kUnsupported, "GGUF: big-endian files are not supported");
  return Fail(ErrorCode::kUnsupported, fmt::format("GGUF: version {} is not supported; 2 and 3 are", version));
}

Result<std::vector<int64_t>> ReadShape(GgufReader& reader, std::string_view name) {
  AUTOGLM_TRY(const auto num_dimensions, reader.Read<uint32_t>(name));
  if (num_dimensions == 0 || num_dimensions > kGgufDimensionsMax) {
    return FailCorrupt("tensor '{}' has {} dimensions; 1 to {} are allowed", name, num_dimensions, kGgufDimensionsMax);
  }
  std::vector<int64_t> shape(num_dimensions);
  int64_t num_elements = 1;
  for (uint32_t i = 0; i < num_dimensions; ++i) {
    AUTOGLM_TRY(const auto size, reader.Read<uint64_t>(name));
    if (size == 0 || size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / num_elements)) {
      return FailCorrupt("tensor '{}': dimension {} is {}; it must be above 0 and the number of elements below 2^63", name, i,
                         size);
    }
    num_elements *= static_cast<int64_t>(size);
    shape[num_dimensions - 1 - i] = static_cast<int64_t>(size);
  }
  return shape;
}

Result<TensorInfo> ReadTensorInfo(GgufReader& reader) {
  TensorInfo info;
  AUTOGLM_TRY(info.name, reader.ReadName("a tensor's name"));
  const std::string shown = PrintableName(info.name);
  AUTOGLM_TRY(info.shape, ReadShape(reader, shown));
  AUTOGLM_TRY(info.type_id, reader.Read<uint32_t>(shown));
  AUTOGLM_TRY(info.offset, reader.Read<uint64_t>(shown));
  return info;
}

// The size of a tensor in bytes. The product of `shape` is known to fit, the product with the block's bytes is not.
Result<uint64_t> TensorBytes(std::string_view name, const std::vector<int64_t>& shape, const DTypeInfo& type) {
  if (shape.back() % type.block_elements != 0) {
    return FailCorrupt("tensor '{}' has rows of {} elements, not a multiple of {}'s block of {}", name, shape.back(), type.name,
                       type.block_elements);
  }
  uint64_t num_blocks = static_cast<uint64_t>(shape.back() / type.block_elements);
  for (size_t i = 0; i + 1 < shape.size(); ++i) num_blocks *= static_cast<uint64_t>(shape[i]);
  if (num_blocks > std::numeric_limits<uint64_t>::max() / static_cast<uint64_t>(type.block_bytes)) {
    return FailCorrupt("tensor '{}' of shape [{}] is larger than any file", name, fmt::join(shape, ", "));
  }
  return num_blocks * static_cast<uint64_t>(type.block_bytes);
}

}  // namespace

Result<std::unique_ptr<GgufFile>> GgufFile::Open(const std::filesystem::path& path) {
  AUTOGLM_TRY(MappedFile mapped, MappedFile::Open(path));
  std::unique_ptr<GgufFile> file(new GgufFile());
  file->file_ = std::make_unique<MappedFile>(std::move(mapped));
  file->bytes_ = file->file_->bytes();
  if (auto status = file->ReadHeader(); !status) {
    return Fail(status.error().code, fmt::format("{}: {}", path.string(), status.error().message));
  }
  return file;
}

Result<std::unique_ptr<GgufFile>> GgufFile::Parse(std::span<const std::byte> bytes) {
  AUTOGLM_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % kAlignmentMin == 0);
  std::unique_ptr<GgufFile> file(new GgufFile());
  file->bytes_ = bytes;
  AUTOGLM_TRY_VOID(file->ReadHeader());
  return file;
}

Status GgufFile::ReadHeader() {
  GgufReader reader(bytes_.first(std::min(bytes_.size(), kHeaderBytesMax)));
  AUTOGLM_TRY_VOID(CheckMagic(reader, bytes_));
  AUTOGLM_TRY(version_, ReadVersion(reader));
  AUTOGLM_TRY(const auto num_tensors, reader.Read<uint64_t>("the number of tensors"));
  AUTOGLM_TRY(const auto num_values, reader.Read<uint64_t>("the number of metadata values"));
  AUTOGLM_TRY_VOID(ReadMetadata(reader, num_values));
  return ReadTensors(reader, num_tensors);
}

Status GgufFile::ReadMetadata(GgufReader& reader, uint64_t num_values) {
  if (num_values > reader.num_left() / kValueBytesMin) {
    return FailCorrupt("the file claims {} metadata values, but only {} bytes are left", num_values, reader.num_left());
  }
  for (uint64_t i = 0; i < num_values; ++i) {
    AUTOGLM_TRY(auto key, reader.ReadName("a metadata key"));
    AUTOGLM_TRY(auto value, reader.ReadValue(key));
    const auto [place, is_new] = metadata_.try_emplace(std::move(key), std::move(value));
    if (!is_new) return FailCorrupt("the key '{}' appears twice", PrintableName(place->first));
  }
  return {};
}

Result<int64_t> GgufFile::Alignment() const {
  if (!metadata_.contains(kAlignmentKey)) return kDefaultAlignment;
  AUTOGLM_TRY(const auto alignment, Integer(kAlignmentKey));
  if (alignment < kAlignmentMin || alignment > kAlignmentMax || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return FailCorrupt("{} is {}; it must be a power of two from {} to {}", kAlignmentKey, alignment, kAlignmentMin,
                       kAlignmentMax);
  }
  return alignment;
}

Status GgufFile::ReadTensors(GgufReader& reader, uint64_t num_tensors) {
  AUTOGLM_TRY(const auto alignment, Alignment());
  if (num_tensors > reader.num_left() / kTensorBytesMin) {
    return FailCorrupt("the file claims {} tensors, but only {} bytes are left", num_tensors, reader.num_left());
  }
  std::vector<TensorInfo> infos;
  infos.reserve(num_tensors);
  for (uint64_t i = 0; i < num_tensors; ++i) {
    AUTOGLM_TRY(auto info, ReadTensorInfo(reader));
    if (info.offset % static_cast<uint64_t>(alignment) != 0) {
      return FailCorrupt("tensor '{}' is at offset {}, not a multiple of the alignment {}", PrintableName(info.name), info.offset,
                         alignment);
    }
    infos.push_back(std::move(info));
  }

  const size_t data_start = (reader.position() + alignment - 1) / alignment * alignment;
  header_bytes_ = std::min(data_start, bytes_.size());
  const auto data = bytes_.subspan(header_bytes_);
  tensors_.reserve(num_tensors);
  for (TensorInfo& info : infos) {
    AUTOGLM_TRY_VOID(AddTensor(std::move(info.name), info.type_id, std::move(info.shape), info.offset, data));
  }
  return {};
}

Status GgufFile::AddTensor(std::string name, uint32_t type_id, std::vector<int64_t> shape, uint64_t offset,
                           std::span<const std::byte> data) {
  const DTypeInfo* type = FindDType(type_id);
  const TensorPlace place{.is_known = type != nullptr, .index = type != nullptr ? tensors_.size() : unknown_tensors_.size()};
  if (!tensor_places_.try_emplace(name, place).second) return FailCorrupt("the tensor '{}' appears twice", PrintableName(name));
  if (type == nullptr) {
    unknown_tensors_.push_back({.name = std::move(name), .type_id = type_id});
    return {};
  }

  AUTOGLM_TRY(const auto num_bytes, TensorBytes(PrintableName(name), shape, *type));
  if (offset > data.size() || num_bytes > data.size() - offset) {
    return FailCorrupt(
        "tensor '{}' needs {} bytes at offset {}, but the file has {} bytes of tensor data; it is cut short or damaged, "
        "fetch it again",
        PrintableName(name), num_bytes, offset, data.size());
  }
  tensors_.push_back({.name = std::move(name),
                      .dtype = static_cast<DType>(type_id),
                      .shape = std::move(shape),
                      .bytes = data.subspan(offset, num_bytes)});
  return {};
}

template <typename T>
const T* GgufFile::Find(std::string_view key) const {
  const auto entry = metadata_.find(key);
  return entry == metadata_.end() ? nullptr : std::get_if<T>(&entry->second);
}

template <typename T>
Result<T> GgufFile::Get(std::string_view key, std::string_view wanted) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end())
    return Fail(ErrorCode::kNotFound, fmt::format("GGUF: the key '{}' is missing", PrintableName(key)));
  const T* value = std::get_if<T>(&entry->second);
  if (value == nullptr) return FailCorrupt("'{}' is {}, not {}", PrintableName(key), GgufKindName(entry->second), wanted);
  return *value;
}

const std::string* GgufFile::FindString(std::string_view key) const { return Find<std::string>(key); }
const std::vector<std::string>* GgufFile::FindStrings(std::string_view key) const { return Find<std::vector<std::string>>(key); }
const std::vector<int64_t>* GgufFile::FindIntegers(std::string_view key) const { return Find<std::vector<int64_t>>(key); }
const std::vector<double>* GgufFile::FindFloats(std::string_view key) const { return Find<std::vector<double>>(key); }

Result<int64_t> GgufFile::Integer(std::string_view key) const { return Get<int64_t>(key, "an integer"); }
Result<double> GgufFile::Float(std::string_view key) const { return Get<double>(key, "a float"); }
Result<bool> GgufFile::Bool(std::string_view key) const { return Get<bool>(key, "true or false"); }

int64_t GgufFile::IntegerOr(std::string_view key, int64_t otherwise) const {
  const auto* value = Find<int64_t>(key);
  return value == nullptr ? otherwise : *value;
}
double GgufFile::FloatOr(std::string_view key, double otherwise) const {
  const auto* value = Find<double>(key);
  return value == nullptr ? otherwise : *value;
}
bool GgufFile::BoolOr(std::string_view key, bool otherwise) const {
  const auto* value = Find<bool>(key);
  return value == nullptr ? otherwise : *value;
}

bool GgufFile::HasTensor(std::string_view name) const { return tensor_places_.contains(name); }

Result<const TensorView*> GgufFile::FindTensor(std::string_view name) const {
  const auto entry = tensor_places_.find(name);
  if (entry == tensor_places_.end()) {
    return Fail(ErrorCode::kNotFound, fmt::format("GGUF: the tensor '{}' is missing", PrintableName(name)));
  }
  const auto [is_known, index] = entry->second;
  if (is_known) return &tensors_[index];
  return Fail(ErrorCode::kUnsupported, fmt::format("GGUF: the tensor '{}' has type id {}, which is not supported",
                                                   PrintableName(name), unknown_tensors_[index].type_id));
}

void GgufFile::DropPages(const TensorView& tensor) const {
  if (file_ != nullptr) file_->DropPages(tensor.bytes);
}

std::vector<FileIdentity> GgufFile::Identities() const {
  if (file_ == nullptr) return {};
  return {file_->identity()};
}

}  // namespace autoglm
