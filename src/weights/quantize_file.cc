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

Result<GgufHeader> MakeHeader(const GgufModel& model, QuantTarget target, const std::vector<TensorPlan>& plans) {
  GgufHeader header;
  for (const auto& [key, value] : model.metadata) AUTOGLM_TRY_VOID(header.Add(key, value));
  AUTOGLM_TRY_VOID(header.AddAs(GgufType::kUint32, "general.file_type", Info(target).gguf_file_type));
  AUTOGLM_TRY_VOID(header.AddAs(GgufType::kUint32, "general.quantization_version", kQuantizationVersion));
  for (const TensorPlan& plan : plans) AUTOGLM_TRY_VOID(header.AddTensor(plan.tensor->name, plan.type, plan.tensor->shape));
  return header;
}

// Rows of one tensor on their way into the file.
class TensorConverter {
 public:
  TensorConverter(const RowTensor& tensor, const TensorPlan& plan, ThreadPool& pool)
      : tensor_(tensor),
        plan_(plan),
        pool_(pool),
        num_columns_(plan.tensor->num_columns()),
        row_bytes_(num_columns_ / Info(plan.type).block_elements * Info(plan.type).block_bytes) {}

  int64_t rows_at_once() const { return std::clamp<int64_t>(kPieceBytes / row_bytes_, 1, plan_.tensor->num_rows()); }

  std::span<const std::byte> Convert(int64_t first_row, int64_t num_rows) {
    out_.resize(static_cast<size_t>(num_rows * row_bytes_));
    pool_.ResetItems();
    pool_.Run([&](int) {
      std::vector<float> values(static_cast<size_t>(num_columns_));
      for (int64_t row; (row = pool_.NextItem()) < num_rows;) {
        tensor_.read_row(first_row + row, values);
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
  const RowTensor& tensor_;
  const TensorPlan& plan_;
  ThreadPool& pool_;
  const int64_t num_columns_;
  const int64_t row_bytes_;
  std::vector<std::byte> out_;
};

Status WriteTensor(const RowTensor& tensor, const TensorPlan& plan, ThreadPool& pool, GgufWriter& writer,
                   const std::function<void(int64_t)>& progress) {
  const bool stays_as_it_is = plan.type == tensor.dtype && !plan.is_by_channel && !tensor.bytes.empty();
  if (stays_as_it_is) return writer.Write(tensor.bytes);
  TensorConverter converter(tensor, plan, pool);
  const int64_t rows = converter.rows_at_once();
  const int64_t num_rows = plan.tensor->num_rows();
  for (int64_t row = 0; row < num_rows; row += rows) {
    AUTOGLM_TRY_VOID(writer.Write(converter.Convert(row, std::min(rows, num_rows - row))));
    progress(row * plan.tensor->num_columns());
  }
  return {};
}

int64_t BytesAs(DType type, int64_t num_weights) { return num_weights / Info(type).block_elements * Info(type).block_bytes; }

}  // namespace

Result<GgufModel> ModelOfFile(const GgufFile& file) {
  AUTOGLM_TRY_VOID(CheckSource(file));
  const std::string* architecture = file.FindString("general.architecture");
  if (architecture == nullptr) return Fail(ErrorCode::kCorruptFile, "general.architecture is missing");
  GgufModel model{.metadata = {}, .tensors = {}, .num_layers = file.IntegerOr(*architecture + ".block_count", 0)};
  for (const auto& [key, value] : file.metadata()) {
    const bool is_the_writers = key == "general.alignment" || key == "general.file_type" || key == "general.quantization_version";
    const bool is_of_the_old_weights = key.starts_with("quantize.");
    if (!is_the_writers && !is_of_the_old_weights) model.metadata.emplace_back(key, value);
  }
  for (const TensorView& tensor : file.tensors()) {
    model.tensors.push_back({.name = tensor.name,
                             .shape = tensor.shape,
                             .dtype = tensor.dtype,
                             .read_row = [&tensor](int64_t row, std::span<float> out) { DequantizeRow(tensor, row, out); },
                             .bytes = tensor.bytes,
                             .on_written = [&file, &tensor] { file.DropPages(tensor); }});
  }
  return model;
}

Result<QuantizeReport> QuantizeModel(const GgufModel& model, const std::filesystem::path& target_path, QuantTarget target,
                                     ThreadPool& pool, const std::function<void(int64_t)>& progress) {
  std::vector<TensorView> views;
  views.reserve(model.tensors.size());
  for (const RowTensor& tensor : model.tensors) {
    views.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = {}});
  }
  const std::vector<TensorPlan> plans = PlanQuantization(views, target, model.num_layers);
  AUTOGLM_TRY(GgufHeader header, MakeHeader(model, target, plans));
  AUTOGLM_TRY(GgufWriter writer, GgufWriter::Create(target_path, std::move(header)));

  QuantizeReport report;
  for (size_t i = 0; i < plans.size(); ++i) {
    const TensorPlan& plan = plans[i];
    const RowTensor& tensor = model.tensors[i];
    const int64_t num_weights = plan.tensor->num_rows() * plan.tensor->num_columns();
    const int64_t done = report.num_weights;
    AUTOGLM_TRY_VOID(WriteTensor(tensor, plan, pool, writer, [&](int64_t written) { progress(done + written); }));
    tensor.on_written();
    report.num_bytes_before += BytesAs(tensor.dtype, num_weights);
    report.num_bytes += BytesAs(plan.type, num_weights);
    report.num_weights += num_weights;
    report.num_fallbacks += plan.is_fallback ? 1 : 0;
    report.was_quantised_before = report.was_quantised_before || (!IsFloat(tensor.dtype) && tensor.dtype != plan.type);
    progress(report.num_weights);
  }
  AUTOGLM_TRY_VOID(writer.Commit());
  return report;
}

}  // namespace autoglm
