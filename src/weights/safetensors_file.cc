#include "weights/safetensors_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "weights/printable_name.h"
#include "weights/safetensors_header.h"

namespace autoglm {
namespace {

constexpr size_t kLengthBytes = 8;

template <typename... Args>
tl::unexpected<Error> FailCorrupt(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(ErrorCode::kCorruptFile, "safetensors: " + fmt::format(format, std::forward<Args>(args)...));
}

std::optional<DType> KnownDType(std::string_view name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  return std::nullopt;
}

// The bytes of an element; nothing for types of less than a byte and those the format may gain.
std::optional<uint64_t> ElementBytes(std::string_view dtype) {
  struct Size {
    std::string_view name;
    uint64_t bytes;
  };
  static constexpr std::array<Size, 15> kSizes = {{{"F32", 4},
                                                   {"F16", 2},
                                                   {"BF16", 2},
                                                   {"BOOL", 1},
                                                   {"U8", 1},
                                                   {"I8", 1},
                                                   {"U16", 2},
                                                   {"I16", 2},
                                                   {"U32", 4},
                                                   {"I32", 4},
                                                   {"U64", 8},
                                                   {"I64", 8},
                                                   {"F64", 8},
                                                   {"F8_E4M3", 1},
                                                   {"F8_E5M2", 1}}};
  const auto* size = std::ranges::find(kSizes, dtype, &Size::name);
  if (size == kSizes.end()) return std::nullopt;
  return size->bytes;
}

// The product of a shape is below 2^60.
uint64_t ShapeBytes(const std::vector<int64_t>& shape, uint64_t element_bytes) {
  uint64_t num_bytes = element_bytes;
  for (const int64_t size : shape) num_bytes *= static_cast<uint64_t>(size);
  return num_bytes;
}

}  // namespace

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::filesystem::path& path) {
  AUTOGLM_TRY(MappedFile mapped, MappedFile::Open(path));
  auto owner = std::make_unique<MappedFile>(std::move(mapped));
  auto file = Parse(owner->bytes());
  if (!file) return Fail(file.error().code, path.string() + ": " + file.error().message);
  (*file)->file_ = std::move(owner);
  return file;
}

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Parse(std::span<const std::byte> bytes) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->bytes_ = bytes;
  AUTOGLM_TRY_VOID(file->ReadHeader());
  return file;
}

Status SafetensorsFile::ReadHeader() {
  if (bytes_.size() < kLengthBytes) {
    return FailCorrupt("the file has {} bytes, less than the length of a header takes", bytes_.size());
  }
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes_.data(), kLengthBytes);
  const size_t num_left = bytes_.size() - kLengthBytes;
  if (header_bytes > kHeaderBytesMax || header_bytes > num_left) {
    return FailCorrupt(
        "the header claims {} bytes, but {} are left and at most {} allowed; this is no safetensors file, or it is cut "
        "short, fetch it again",
        header_bytes, num_left, kHeaderBytesMax);
  }
  const auto* text = reinterpret_cast<const char*>(bytes_.data() + kLengthBytes);
  Result<SafetensorsHeader> header = ParseSafetensorsHeader(std::string_view(text, header_bytes));
  if (!header) return FailCorrupt("{}", header.error().message);
  header_bytes_ = kLengthBytes + header_bytes;
  return AddTensors(*std::move(header), bytes_.subspan(header_bytes_));
}

Status SafetensorsFile::AddTensors(SafetensorsHeader header, std::span<const std::byte> data) {
  metadata_ = std::move(header.metadata);
  std::ranges::sort(header.entries, {}, [](const SafetensorsEntry& entry) { return std::pair(entry.begin, entry.end); });
  uint64_t position = 0;
  for (SafetensorsEntry& entry : header.entries) {
    if (entry.begin != position) {
      return FailCorrupt("tensor '{}' begins at byte {} of the data, not at {} where the one before it ends",
                         PrintableName(entry.name), entry.begin, position);
    }
    if (entry.end > data.size()) {
      return FailCorrupt("tensor '{}' ends at byte {}, but the file has {} bytes of data; it is cut short, fetch it again",
                         PrintableName(entry.name), entry.end, data.size());
    }
    position = entry.end;
    AUTOGLM_TRY_VOID(AddTensor(std::move(entry), data));
  }
  if (position != data.size()) return FailCorrupt("{} bytes after the last tensor belong to none", data.size() - position);
  return {};
}

Status SafetensorsFile::AddTensor(SafetensorsEntry entry, std::span<const std::byte> data) {
  if (const auto element_bytes = ElementBytes(entry.dtype);
      element_bytes && ShapeBytes(entry.shape, *element_bytes) != entry.end - entry.begin) {
    return FailCorrupt("tensor '{}' of type {} and shape [{}] cannot have {} bytes", PrintableName(entry.name), entry.dtype,
                       fmt::join(entry.shape, ", "), entry.end - entry.begin);
  }
  const auto dtype = KnownDType(entry.dtype);
  tensor_places_[entry.name] = {.is_known = dtype.has_value(), .index = dtype ? tensors_.size() : unknown_tensors_.size()};
  if (!dtype) {
    unknown_tensors_.push_back({.name = std::move(entry.name), .dtype = std::move(entry.dtype)});
    return {};
  }
  if (entry.shape.empty()) entry.shape = {1};
  tensors_.push_back({.name = std::move(entry.name),
                      .dtype = *dtype,
                      .shape = std::move(entry.shape),
                      .bytes = data.subspan(entry.begin, entry.end - entry.begin)});
  return {};
}

bool SafetensorsFile::HasTensor(std::string_view name) const { return tensor_places_.contains(name); }

Result<const TensorView*> SafetensorsFile::FindTensor(std::string_view name) const {
  const auto entry = tensor_places_.find(name);
  if (entry == tensor_places_.end()) {
    return Fail(ErrorCode::kNotFound, fmt::format("safetensors: the tensor '{}' is missing", PrintableName(name)));
  }
  const auto [is_known, index] = entry->second;
  if (is_known) return &tensors_[index];
  return Fail(ErrorCode::kUnsupported,
              fmt::format("safetensors: the tensor '{}' has type {}, which is not supported; F32, F16 and BF16 are",
                          PrintableName(name), PrintableName(unknown_tensors_[index].dtype)));
}

void SafetensorsFile::DropPages(const TensorView& tensor) const {
  if (file_ != nullptr) file_->DropPages(tensor.bytes);
}

std::vector<FileIdentity> SafetensorsFile::Identities() const {
  if (file_ == nullptr) return {};
  return {file_->identity()};
}

}  // namespace autoglm
