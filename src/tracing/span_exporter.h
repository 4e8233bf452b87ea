#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/event_loop.h"
#include "tracing/collector_sender.h"
#include "tracing/span.h"
#include "tracing/span_encoding.h"

namespace autoglm {

struct SpanExporterOptions {
  SpanFormat format = SpanFormat::kOtlpJson;
  CollectorAddress address;
  SpanSource source;
  // Beyond these new ones are dropped and counted. Bytes are those of attributes' texts, which prompts make large.
  size_t max_queued_spans = 16'384;
  size_t max_queued_bytes = size_t{64} << 20;
  // In one request; a span of more bytes goes alone.
  size_t max_batch = 512;
  size_t max_batch_bytes = size_t{1} << 20;
  std::chrono::milliseconds interval{500};
};

// Spans on their way to one collector, in batches, on a thread of its own. Bounded: a collector that is away, slow or in trouble
// costs spans, which are counted, and nothing else.
class SpanExporter {
 public:
  explicit SpanExporter(SpanExporterOptions options);
  // What is queued goes once more, for at most a second.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Any thread; never waits. All of them, or none where they have no room.
  void Add(std::vector<Span> spans);

  // Any thread.
  void SetPort(uint16_t port) { port_ = port; }

  std::string_view name() const;  // "otlp" or "zipkin"
  int64_t num_exported() const { return num_exported_.load(); }
  int64_t num_dropped() const { return num_dropped_.load(); }

 private:
  void Flush();
  std::vector<Span> TakeBatch();
  void OnDone(size_t num_spans, CollectorSender::Outcome outcome);
  bool IsIdle();

  const SpanExporterOptions options_;
  std::mutex mutex_;  // of the queue
  std::deque<Span> queue_;
  size_t num_queued_bytes_ = 0;
  std::atomic<uint16_t> port_;
  std::atomic<int64_t> num_exported_{0};
  std::atomic<int64_t> num_dropped_{0};
  std::atomic<bool> is_flush_posted_{false};
  std::atomic<bool> is_sending_{false};

  std::unique_ptr<http::LoopThread> thread_ = std::make_unique<http::LoopThread>();
  // On its thread.
  std::unique_ptr<CollectorSender> sender_;
  http::EventLoop::Timer timer_;
  bool has_complained_ = false;
};

}  // namespace autoglm
