#include "weights/weight_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

// How far reading runs ahead of packing: some layers of a large model, and little beside the weights themselves.
constexpr int64_t kReadAheadBytes = 128 << 20;
// The panels are the same for every instruction set. Changes with their layout (kernels/packed_format.h).
constexpr int kPanelLayout = 1;

}  // namespace

Result<std::unique_ptr<WeightLoader>> WeightLoader::Create(const TensorSource& source, int64_t capacity_bytes,
                                                           const WeightPacking& packing) {
  AUTOGLM_TRY(WeightArena arena, WeightArena::Reserve(capacity_bytes));
  return std::unique_ptr<WeightLoader>(new WeightLoader(source, std::move(arena), packing));
}

WeightLoader::~WeightLoader() = default;

Result<PackedMatrix> WeightLoader::AddMatrix(const TensorView& tensor, MatrixShape expected) {
  AUTOGLM_TRY(const PackedMatrix matrix, PackedMatrix::Plan(tensor, expected, packing_, arena_));
  items_.push_back({.tensor = tensor, .matrix = matrix});
  return matrix;
}

Result<std::span<const float>> WeightLoader::AddVector(const TensorView& tensor, const VectorPart& part) {
  if (tensor.num_rows() != 1 || tensor.num_columns() != part.size) {
    return Fail(ErrorCode::kCorruptFile, fmt::format("tensor {} has {} values, expected a vector of {}", tensor.name,
                                                     tensor.num_rows() * tensor.num_columns(), part.size));
  }
  AUTOGLM_CHECK(part.first >= 0 && part.count >= 0 && part.first <= part.size - part.count);
  auto* values = reinterpret_cast<float*>(arena_.Allocate(part.count * static_cast<int64_t>(sizeof(float))));
  items_.push_back({.tensor = tensor, .vector = values, .part = part});
  return std::span<const float>(values, static_cast<size_t>(part.count));
}

void WeightLoader::EndStage() {
  const size_t begin = stages_.empty() ? 0 : stages_.back().end;
  int64_t file_bytes = stages_.empty() ? 0 : stages_.back().file_bytes_end;
  for (size_t i = begin; i < items_.size(); ++i) file_bytes += std::ssize(items_[i].tensor.bytes);
  stages_.push_back({.begin = begin, .end = items_.size(), .file_bytes_end = file_bytes});
}

void WeightLoader::Start(const PreparedCacheOptions& cache) {
  AUTOGLM_CHECK(read_ahead_ == nullptr && (items_.empty() || stages_.back().end == items_.size()));
  const bool is_cached = !cache.folder.empty() && num_bytes() >= cache.min_image_bytes && !source_.Identities().empty();
  if (is_cached) {
    key_ = Key();
    if (const auto image = PreparedCache(cache).Find(key_, num_bytes())) {
      is_prepared_ = arena_.MapFile(image->fd(), image->offset()).has_value();
    }
    if (!is_prepared_ && cache.use == PreparedCacheUse::kReadAndWrite) cache_ = cache;
  }
  std::vector<std::span<const std::byte>> ranges;
  if (is_prepared_) {
    num_loaded_.store(num_stages(), std::memory_order_release);
    ranges.push_back(arena_.used());
    read_ahead_ = std::make_unique<ReadAhead>(std::move(ranges), num_bytes());
    return;
  }
  for (const Item& item : items_) ranges.push_back(item.tensor.bytes);
  read_ahead_ = std::make_unique<ReadAhead>(std::move(ranges), kReadAheadBytes);
}

void WeightLoader::LoadNext(ThreadPool& pool) {
  AUTOGLM_CHECK(read_ahead_ != nullptr && !is_complete());
  const int64_t index = num_loaded();
  const Stage& stage = stages_[static_cast<size_t>(index)];
  FillStage(stage, pool);
  read_ahead_->SetUsed(stage.file_bytes_end);
  // From here on only the copies are used.
  for (size_t i = stage.begin; i < stage.end; ++i) source_.DropPages(items_[i].tensor);
  num_loaded_.store(index + 1, std::memory_order_release);
  if (is_complete() && !cache_.folder.empty()) writer_ = std::make_unique<PreparedWriter>(cache_, key_, arena_.used());
}

// All panels and vectors of a stage count through, so that no member waits before the end.
void WeightLoader::FillStage(const Stage& stage, ThreadPool& pool) {
  pool.ResetItems();
  pool.Run([&](int) {
    int64_t part = pool.NextItem();
    int64_t item_begin = 0;
    for (size_t i = stage.begin; i < stage.end; ++i) {
      Item& item = items_[i];
      const bool is_vector = item.vector != nullptr;
      const int64_t item_end = item_begin + (is_vector ? 1 : item.matrix.num_panels());
      for (; part < item_end; part = pool.NextItem()) {
        if (is_vector) {
          FillVector(item.tensor, item.part, item.vector);
        } else {
          item.matrix.PackPanelFrom(item.tensor, part - item_begin);
        }
      }
      item_begin = item_end;
    }
  });
}

void WeightLoader::FillVector(const TensorView& tensor, const VectorPart& part, float* values) {
  std::vector<float> row(static_cast<size_t>(part.size));
  DequantizeRow(tensor, 0, row);
  for (int64_t i = 0; i < part.count; ++i) values[i] = row[static_cast<size_t>(part.first + i)] + part.offset;
}

// All that the image depends on: the files as they are, and what of them goes where in which form.
PreparedKey WeightLoader::Key() const {
  std::string text = fmt::format("panels {}\n", kPanelLayout);
  for (const FileIdentity& file : source_.Identities()) {
    text += fmt::format("file {} {} {} {} {}\n", file.device, file.inode, file.num_bytes, file.modified_ns, file.changed_ns);
  }
  for (const Item& item : items_) {
    text += fmt::format("{} {} ", item.tensor.name, Info(item.tensor.dtype).name);
    if (item.vector != nullptr) {
      text += fmt::format("vector {} {} {} {}\n", item.part.size, item.part.first, item.part.count, item.part.offset);
    } else {
      text += fmt::format("matrix {} {} {}\n", item.matrix.rows(), item.matrix.columns(), static_cast<int>(item.matrix.format()));
    }
  }
  return PreparedKey::Of(text);
}

Status WeightLoader::WaitForCache() { return writer_ == nullptr ? Status() : writer_->Join(); }

}  // namespace autoglm
