#include "tracing/span_exporter.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>
#include <variant>

#include "telemetry/log.h"

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kFarewellPatience{1'000};
constexpr std::chrono::milliseconds kFarewellLook{5};

size_t TextBytesOf(const Span& span) {
  size_t bytes = 0;
  for (const auto& [key, value] : span.attributes) {
    if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
  }
  return bytes;
}

}  // namespace

SpanExporter::SpanExporter(SpanExporterOptions options) : options_(std::move(options)), port_(options_.source.port) {
  thread_->RunAndWait([this] { sender_ = std::make_unique<CollectorSender>(thread_->loop(), options_.address); });
}

SpanExporter::~SpanExporter() {
  const auto deadline = std::chrono::steady_clock::now() + kFarewellPatience;
  thread_->loop().Post([this] { Flush(); });
  while (!IsIdle() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kFarewellLook);
  thread_->RunAndWait([this] {
    timer_.Cancel();
    sender_.reset();
  });
  thread_.reset();
}

std::string_view SpanExporter::name() const { return options_.format == SpanFormat::kZipkinJson ? "zipkin" : "otlp"; }

bool SpanExporter::IsIdle() {
  const std::lock_guard lock(mutex_);
  return queue_.empty() && !is_sending_.load();
}

void SpanExporter::Add(std::vector<Span> spans) {
  bool is_batch = false;
  size_t num_bytes = 0;
  for (const Span& span : spans) num_bytes += TextBytesOf(span);
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() + spans.size() > options_.max_queued_spans || num_queued_bytes_ + num_bytes > options_.max_queued_bytes) {
      num_dropped_ += std::ssize(spans);
      return;
    }
    std::ranges::move(spans, std::back_inserter(queue_));
    num_queued_bytes_ += num_bytes;
    is_batch = queue_.size() >= options_.max_batch || num_queued_bytes_ >= options_.max_batch_bytes;
  }
  if (is_flush_posted_.exchange(true) && !is_batch) return;
  thread_->loop().Post([this, is_batch] {
    if (is_batch) return Flush();
    timer_ = thread_->loop().CallAfter(options_.interval, [this] { Flush(); });
  });
}

void SpanExporter::Flush() {
  if (sender_ == nullptr || sender_->is_busy()) return;
  const std::vector<Span> batch = TakeBatch();
  if (batch.empty()) return;
  const size_t num_spans = batch.size();
  SpanSource source = options_.source;
  source.port = port_;
  sender_->Send({.path = std::string(SpanPathOf(options_.format)),
                 .content_type = std::string(ContentTypeOf(options_.format)),
                 .body = EncodeSpans(batch, source, options_.format),
                 .done = [this, num_spans](CollectorSender::Outcome outcome) { OnDone(num_spans, outcome); }});
}

std::vector<Span> SpanExporter::TakeBatch() {
  std::vector<Span> batch;
  size_t num_bytes = 0;
  const std::lock_guard lock(mutex_);
  is_flush_posted_ = false;
  while (!queue_.empty() && batch.size() < options_.max_batch) {
    const size_t more = TextBytesOf(queue_.front());
    if (!batch.empty() && num_bytes + more > options_.max_batch_bytes) break;
    num_bytes += more;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  num_queued_bytes_ -= num_bytes;
  is_sending_ = !batch.empty();
  return batch;
}

void SpanExporter::OnDone(size_t num_spans, CollectorSender::Outcome outcome) {
  const bool is_taken = outcome == CollectorSender::Outcome::kTaken;
  (is_taken ? num_exported_ : num_dropped_) += static_cast<int64_t>(num_spans);
  if (is_taken == has_complained_) {
    // Once, and once more when it is over.
    has_complained_ = !is_taken;
    Log(is_taken ? LogLevel::kInfo : LogLevel::kWarning, is_taken ? "trace_export_recovered" : "trace_export_failed",
        {{"collector", std::string_view(sender_->authority())},
         {"problem", is_taken ? std::string_view() : std::string_view(sender_->last_failure())}});
  }
  is_sending_ = false;
  Flush();
}

}  // namespace autoglm
