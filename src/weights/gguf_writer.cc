#include "weights/gguf_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "weights/printable_name.h"

namespace autoglm {
namespace {

using ByteBuffer = std::vector<std::byte>;

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint32_t kVersion = 3;

int64_t Aligned(int64_t position) {
  return (position + GgufHeader::kAlignment - 1) / GgufHeader::kAlignment * GgufHeader::kAlignment;
}

void AppendRaw(ByteBuffer& out, std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

template <typename T>
void AppendNumber(ByteBuffer& out, T number) {
  static_assert(std::endian::native == std::endian::little);
  AppendRaw(out, std::as_bytes(std::span(&number, 1)));
}

void AppendString(ByteBuffer& out, std::string_view text) {
  AppendNumber<uint64_t>(out, text.size());
  AppendRaw(out, std::as_bytes(std::span(text)));
}

template <typename Stored>
bool AppendIfItFits(ByteBuffer& out, int64_t value) {
  if (!std::in_range<Stored>(value)) return false;
  AppendNumber(out, static_cast<Stored>(value));
  return true;
}

// Appends one value as `type`; false where the type is of another kind or too narrow.
bool AppendItem(ByteBuffer& out, GgufType type, int64_t value) {
  switch (type) {
    case GgufType::kUint8:
      return AppendIfItFits<uint8_t>(out, value);
    case GgufType::kInt8:
      return AppendIfItFits<int8_t>(out, value);
    case GgufType::kUint16:
      return AppendIfItFits<uint16_t>(out, value);
    case GgufType::kInt16:
      return AppendIfItFits<int16_t>(out, value);
    case GgufType::kUint32:
      return AppendIfItFits<uint32_t>(out, value);
    case GgufType::kInt32:
      return AppendIfItFits<int32_t>(out, value);
    case GgufType::kUint64:
      return AppendIfItFits<uint64_t>(out, value);
    case GgufType::kInt64:
      return AppendIfItFits<int64_t>(out, value);
    default:
      return false;
  }
}

bool AppendItem(ByteBuffer& out, GgufType type, double value) {
  if (type == GgufType::kFloat64) {
    AppendNumber(out, value);
    return true;
  }
  const bool is_too_large = std::isfinite(value) && std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max());
  if (type != GgufType::kFloat32 || is_too_large) return false;
  AppendNumber(out, static_cast<float>(value));
  return true;
}

bool AppendItem(ByteBuffer& out, GgufType type, bool value) {
  if (type != GgufType::kBool) return false;
  AppendNumber<uint8_t>(out, value ? 1 : 0);
  return true;
}

bool AppendItem(ByteBuffer& out, GgufType type, const std::string& value) {
  if (type != GgufType::kString) return false;
  AppendString(out, value);
  return true;
}

template <typename T>
bool AppendItem(ByteBuffer& out, GgufType type, const std::vector<T>& values) {
  const size_t start = out.size();
  // A value that fits every type of its kind tells whether the type is of that kind, for empty lists, too.
  if (!AppendItem(out, type, T{})) return false;
  out.resize(start);
  AppendNumber<uint64_t>(out, values.size());
  return std::ranges::all_of(values, [&](const T& value) { return AppendItem(out, type, value); });
}

bool AllIn(std::span<const int64_t> values, int64_t lowest, int64_t highest) {
  return std::ranges::all_of(values, [=](int64_t value) { return value >= lowest && value <= highest; });
}
bool AllInt32(std::span<const int64_t> values) { return AllIn(values, INT32_MIN, INT32_MAX); }
bool AllUint32(std::span<const int64_t> values) { return AllIn(values, 0, UINT32_MAX); }

GgufType UsualType(bool) { return GgufType::kBool; }
GgufType UsualType(double) { return GgufType::kFloat32; }
GgufType UsualType(const std::string&) { return GgufType::kString; }
GgufType UsualType(int64_t value) {
  if (AllUint32({&value, 1})) return GgufType::kUint32;
  return AllInt32({&value, 1}) ? GgufType::kInt32 : GgufType::kInt64;
}
GgufType UsualType(const std::vector<int64_t>& values) {
  if (AllInt32(values)) return GgufType::kInt32;
  return AllUint32(values) ? GgufType::kUint32 : GgufType::kInt64;
}
template <typename T>
GgufType UsualType(const std::vector<T>&) {
  return UsualType(T{});
}

bool IsList(const GgufValue& value) {
  return std::holds_alternative<std::vector<bool>>(value) || std::holds_alternative<std::vector<int64_t>>(value) ||
         std::holds_alternative<std::vector<double>>(value) || std::holds_alternative<std::vector<std::string>>(value);
}

tl::unexpected<Error> Refuse(std::string message) { return Fail(ErrorCode::kInvalidArgument, "GGUF: " + std::move(message)); }

Status CheckName(std::string_view name, const std::set<std::string, std::less<>>& names) {
  if (name.empty() || name.size() > kGgufNameBytesMax || !IsPrintable(name)) {
    return Refuse(
        fmt::format("'{}' is no name; names are 1 to {} characters of printable ASCII", PrintableName(name), kGgufNameBytesMax));
  }
  if (names.contains(name)) return Refuse(fmt::format("'{}' is given twice", PrintableName(name)));
  return {};
}

// Nothing where the shape cannot be that of a tensor of the type.
std::optional<int64_t> TensorBytes(const std::vector<int64_t>& shape, const DTypeInfo& type) {
  if (shape.empty() || shape.size() > kGgufDimensionsMax || shape.back() % type.block_elements != 0) return std::nullopt;
  int64_t num_bytes = type.block_bytes;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = i + 1 == shape.size() ? shape[i] / type.block_elements : shape[i];
    if (size <= 0 || num_bytes > std::numeric_limits<int64_t>::max() / 256 / size) return std::nullopt;
    num_bytes *= size;
  }
  return num_bytes;
}

}  // namespace

Status GgufHeader::Add(std::string_view key, const GgufValue& value) {
  return AddAs(std::visit([](const auto& typed) { return UsualType(typed); }, value), key, value);
}

Status GgufHeader::AddAs(GgufType type, std::string_view key, const GgufValue& value) {
  AUTOGLM_TRY_VOID(CheckName(key, keys_));
  if (key == kAlignmentKey) return Refuse(fmt::format("{} is {}, it cannot be set", kAlignmentKey, kAlignment));
  ByteBuffer stored;
  AppendString(stored, key);
  if (IsList(value)) AppendNumber(stored, GgufType::kArray);
  AppendNumber(stored, type);
  if (!std::visit([&](const auto& typed) { return AppendItem(stored, type, typed); }, value)) {
    return Refuse(fmt::format("'{}' is {} that does not fit value type {}", PrintableName(key), GgufKindName(value),
                              static_cast<uint32_t>(type)));
  }
  keys_.emplace(key);
  AppendRaw(value_bytes_, stored);
  return {};
}

Status GgufHeader::AddTensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape) {
  AUTOGLM_TRY_VOID(CheckName(name, tensor_names_));
  const auto num_bytes = TensorBytes(shape, Info(dtype));
  if (!num_bytes || *num_bytes > std::numeric_limits<int64_t>::max() / 2 - data_bytes_) {
    return Refuse(
        fmt::format("the tensor '{}' cannot be {} of shape [{}]", PrintableName(name), Info(dtype).name, fmt::join(shape, ", ")));
  }
  AppendString(tensor_info_bytes_, name);
  AppendNumber(tensor_info_bytes_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i > 0; --i) AppendNumber(tensor_info_bytes_, shape[i - 1]);
  AppendNumber(tensor_info_bytes_, dtype);
  AppendNumber(tensor_info_bytes_, data_bytes_);
  tensor_names_.emplace(name);
  tensor_bytes_.push_back(*num_bytes);
  data_bytes_ += Aligned(*num_bytes);
  return {};
}

std::vector<std::byte> GgufHeader::Bytes() const {
  ByteBuffer bytes;
  AppendRaw(bytes, std::as_bytes(std::span(kMagic)));
  AppendNumber(bytes, kVersion);
  AppendNumber<uint64_t>(bytes, tensor_bytes_.size());
  AppendNumber<uint64_t>(bytes, keys_.size());
  AppendRaw(bytes, value_bytes_);
  AppendRaw(bytes, tensor_info_bytes_);
  bytes.resize(static_cast<size_t>(Aligned(std::ssize(bytes))));
  return bytes;
}

Result<GgufWriter> GgufWriter::Create(const std::filesystem::path& target, GgufHeader header) {
  AUTOGLM_TRY(AtomicFile file, AtomicFile::Create(target));
  const std::vector<std::byte> bytes = header.Bytes();
  AUTOGLM_TRY_VOID(file.Reserve(std::ssize(bytes) + header.data_bytes_));
  AUTOGLM_TRY_VOID(file.Write(bytes));
  return GgufWriter(std::move(file), std::move(header));
}

Status GgufWriter::Write(std::span<const std::byte> piece) {
  AUTOGLM_CHECK(tensor_index_ < header_.tensor_bytes_.size());
  const int64_t tensor_bytes = header_.tensor_bytes_[tensor_index_];
  AUTOGLM_CHECK(std::ssize(piece) <= tensor_bytes - num_written_);
  AUTOGLM_TRY_VOID(file_.Write(piece));
  num_written_ += std::ssize(piece);
  if (num_written_ < tensor_bytes) return {};

  constexpr std::array<std::byte, GgufHeader::kAlignment> kPadding{};
  ++tensor_index_;
  num_written_ = 0;
  return file_.Write(std::span(kPadding).first(static_cast<size_t>(Aligned(tensor_bytes) - tensor_bytes)));
}

Status GgufWriter::Commit() {
  AUTOGLM_CHECK(tensor_index_ == header_.tensor_bytes_.size());
  return file_.Commit();
}

}  // namespace autoglm
