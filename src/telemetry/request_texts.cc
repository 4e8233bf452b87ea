#include "telemetry/request_texts.h"

#include <utility>

namespace autoglm {
namespace {

size_t SizeOf(const RequestText& text) { return text.input_messages.size() + text.output_messages.size(); }

}  // namespace

void RequestTexts::Add(const SpanId& request, RequestText text) {
  const std::lock_guard lock(mutex_);
  const size_t size = SizeOf(text);
  if (!texts_.try_emplace(request.value, std::move(text)).second) return;
  num_bytes_ += size;
  order_.push_back(request.value);
  ++num_new_;
  while (num_bytes_ > max_bytes_ && !order_.empty()) {
    RemoveLocked(SpanId{order_.front()});
    order_.pop_front();
  }
}

void RequestTexts::EndPass() {
  const std::lock_guard lock(mutex_);
  while (order_.size() > num_new_) {
    RemoveLocked(SpanId{order_.front()});
    order_.pop_front();
  }
  num_new_ = 0;
}

std::optional<RequestText> RequestTexts::Take(const SpanId& request) {
  const std::lock_guard lock(mutex_);
  return RemoveLocked(request);
}

std::optional<RequestText> RequestTexts::RemoveLocked(const SpanId& request) {
  auto node = texts_.extract(request.value);
  if (node.empty()) return std::nullopt;
  num_bytes_ -= SizeOf(node.mapped());
  return std::move(node.mapped());
}

}  // namespace autoglm
