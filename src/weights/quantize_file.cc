#include "weights/quantize_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "weights/dequantize.h"
#include "weights/gguf_writer.h"
#include "weights/quantize.h"

namespace autoglm {
namespace {

// Written at once; large enough for a disk, small beside any model.
constexpr int64_t kPieceBytes = 16 << 20;
constexpr int64_t kQuantizationVersion = 2;  // of ggml's blocks, since 2023

bool IsFloat(DType type) { return Info(type).block_elements == 1; }

Status CheckSource(const GgufFile& source) {
  if (!source.unknown_tensors().empty()) {
    const GgufFile::UnknownTensor& tensor = source.unknown_tensors().front();
    return Fail(ErrorCode::kUnsupported,
                fmt::format("tensor {} has type {}, which is not supported", tensor.name, tensor.type_id));
  }
  if (source.IntegerOr("split.count", 1) > 1) {
    return Fail(ErrorCode::kUnsupported, "this file is one part of several; join them first (llama.cpp: gguf-split --merge)");
  }
  return {};
}

Result<GgufHeader> MakeHeader(const GgufFile& source, QuantTarget target, const std::vector<TensorPlan>& plans) {
  GgufHeader header;
  for (const auto& [key, value] : source.metadata()) {
    if (key == "general.alignment" || key == "general.file_type" || key == "general.quantization_version") continue;
    AUTOGLM_TRY_VOID(header.Add(key, value));
  }
  AUTOGLM_TRY_VOID(header.AddAs(GgufType::kUint32, "general.file_type", Info(target).gguf_file_type));
  AUTOGLM_TRY_VOID(header.AddAs(GgufType::kUint32, "general.quantization_version", kQuantizationVersion));
  for (const TensorPlan& plan : plans) AUTOGLM_TRY_VOID(header.AddTensor(plan.tensor->name, plan.type, plan.tensor->shape));
  return header;
}

// Rows of one tensor on their way into the file.
class TensorConverter {
 public:
  TensorConverter(const TensorPlan& plan, ThreadPool& pool)
      : plan_(plan),
        pool_(pool),
        row_bytes_(plan.tensor->num_columns() / Info(plan.type).block_elements * Info(plan.type).block_bytes) {}

  int64_t rows_at_once() const { return std::clamp<int64_t>(kPieceBytes / row_bytes_, 1, plan_.tensor->num_rows()); }

  std::span<const std::byte> Convert(int64_t first_row, int64_t num_rows) {
    out_.resize(static_cast<size_t>(num_rows * row_bytes_));
    pool_.ResetItems();
    pool_.Run([&](int) {
      std::vector<float> values(static_cast<size_t>(plan_.tensor->num_columns()));
      for (int64_t row; (row = pool_.NextItem()) < num_rows;) {
        DequantizeRow(*plan_.tensor, first_row + row, values);
        const auto bytes = std::span(out_).subspan(static_cast<size_t>(row * row_bytes_), static_cast<size_t>(row_bytes_));
        if (plan_.is_by_channel) {
          QuantizeRowByChannel(values, bytes);
        } else {
          QuantizeRow(plan_.type, values, bytes);
        }
      }
    });
    return out_;
  }

 private:
  const TensorPlan& plan_;
  ThreadPool& pool_;
  const int64_t row_bytes_;
  std::vector<std::byte> out_;
};

Status WriteTensor(const TensorPlan& plan, ThreadPool& pool, GgufWriter& writer, const std::function<void(int64_t)>& progress) {
  const TensorView& tensor = *plan.tensor;
  if (plan.type == tensor.dtype && !plan.is_by_channel) return writer.Write(tensor.bytes);
  TensorConverter converter(plan, pool);
  const int64_t rows = converter.rows_at_once();
  for (int64_t row = 0; row < tensor.num_rows(); row += rows) {
    AUTOGLM_TRY_VOID(writer.Write(converter.Convert(row, std::min(rows, tensor.num_rows() - row))));
    progress(row * tensor.row_bytes());
  }
  return {};
}

}  // namespace

Result<QuantizeReport> QuantizeFile(const GgufFile& source, const std::filesystem::path& target_path, QuantTarget target,
                                    ThreadPool& pool, const std::function<void(int64_t)>& progress) {
  AUTOGLM_TRY_VOID(CheckSource(source));
  AUTOGLM_TRY(const std::string architecture_key, [&]() -> Result<std::string> {
    const std::string* architecture = source.FindString("general.architecture");
    if (architecture == nullptr) return Fail(ErrorCode::kCorruptFile, "general.architecture is missing");
    return *architecture + ".block_count";
  }());
  const std::vector<TensorPlan> plans = PlanQuantization(source.tensors(), target, source.IntegerOr(architecture_key, 0));
  AUTOGLM_TRY(GgufHeader header, MakeHeader(source, target, plans));
  AUTOGLM_TRY(GgufWriter writer, GgufWriter::Create(target_path, std::move(header)));

  QuantizeReport report;
  for (const TensorPlan& plan : plans) {
    const TensorView& tensor = *plan.tensor;
    const int64_t done = report.num_bytes_before;
    AUTOGLM_TRY_VOID(WriteTensor(plan, pool, writer, [&](int64_t bytes) { progress(done + bytes); }));
    source.DropPages(tensor);
    report.num_bytes_before += std::ssize(tensor.bytes);
    report.num_bytes += tensor.num_rows() * tensor.num_columns() / Info(plan.type).block_elements * Info(plan.type).block_bytes;
    report.num_weights += tensor.num_rows() * tensor.num_columns();
    report.num_fallbacks += plan.is_fallback ? 1 : 0;
    report.was_quantised_before = report.was_quantised_before || (!IsFloat(tensor.dtype) && tensor.dtype != plan.type);
    progress(report.num_bytes_before);
  }
  AUTOGLM_TRY_VOID(writer.Commit());
  return report;
}

}  // namespace autoglm
