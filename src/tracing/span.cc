#include "tracing/span.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm {
namespace {

constexpr uint64_t kFirstAttemptChild = 1000;  // children below are pieces of stages

double SecondsOf(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

std::string_view OperationOf(std::string_view route) {
  if (route.ends_with("/chat/completions")) return "chat";
  if (route.ends_with("/completions")) return "text_completion";
  if (route.ends_with("/embeddings")) return "embeddings";
  return {};
}

class Attributes {
 public:
  explicit Attributes(Span& span) : span_(span) {}

  void Text(const char* key, std::string_view value) {
    if (!value.empty()) span_.attributes.emplace_back(key, std::string(value));
  }
  void Count(const char* key, int64_t value) {
    if (value != 0) span_.attributes.emplace_back(key, value);
  }
  void Number(const char* key, double value) { span_.attributes.emplace_back(key, value); }
  void SecondsIfAny(const char* key, int64_t nanoseconds) {
    if (nanoseconds > 0) Number(key, SecondsOf(nanoseconds));
  }
  void Flag(const char* key, bool value) {
    if (value) span_.attributes.emplace_back(key, true);
  }

 private:
  Span& span_;
};

void AddLatencies(const RequestRecord& record, Attributes& attributes) {
  const int64_t prefill = record.Of(Stage::kPrefill) + record.Of(Stage::kPrefillStall);
  const int64_t decode = record.Of(Stage::kDecode) + record.Of(Stage::kDecodeStall);
  const int64_t forward = record.Of(Stage::kPrefill) + record.Of(Stage::kDecode);
  attributes.Number("gen_ai.latency.e2e", SecondsOf(record.total_ns));
  attributes.SecondsIfAny("gen_ai.latency.time_to_first_token", record.first_token_ns);
  attributes.SecondsIfAny("gen_ai.latency.time_in_queue", record.Of(Stage::kQueue));
  attributes.SecondsIfAny("gen_ai.latency.time_in_scheduler",
                          record.Of(Stage::kPreempted) + record.Of(Stage::kPrefillStall) + record.Of(Stage::kDecodeStall));
  attributes.SecondsIfAny("gen_ai.latency.time_in_model_prefill", prefill);
  attributes.SecondsIfAny("gen_ai.latency.time_in_model_decode", decode);
  attributes.SecondsIfAny("gen_ai.latency.time_in_model_inference", prefill + decode);
  attributes.SecondsIfAny("gen_ai.latency.time_in_model_forward", forward);
  attributes.SecondsIfAny("gen_ai.latency.time_in_model_execute", forward);
}

void AddUsage(const RequestRecord& record, const InternedNames& names, Attributes& attributes) {
  attributes.Text("gen_ai.request.model", names.NameOf(record.model));
  attributes.Text("gen_ai.response.model", names.NameOf(record.model));
  attributes.Count("gen_ai.request.max_tokens", static_cast<int64_t>(record.max_tokens));
  if (record.temperature >= 0) attributes.Number("gen_ai.request.temperature", record.temperature);
  if (record.top_p >= 0) attributes.Number("gen_ai.request.top_p", record.top_p);
  attributes.Count("gen_ai.request.n", record.num_choices);
  for (const char* key : {"gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"}) {
    attributes.Count(key, record.num_prompt_tokens);
  }
  for (const char* key : {"gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"}) {
    attributes.Count(key, record.num_completion_tokens);
  }
  attributes.Count("gen_ai.usage.cached_tokens", record.num_cached_tokens);
  attributes.Text("gen_ai.response.finish_reasons", names.NameOf(record.finish));
}

void AddCosts(const RequestRecord& record, Attributes& attributes) {
  attributes.SecondsIfAny("autoglm.cpu_seconds", record.cpu_ns);
  attributes.SecondsIfAny("autoglm.run_queue_seconds", record.run_queue_ns);
  attributes.SecondsIfAny("autoglm.write_blocked_seconds", record.write_blocked_ns);
  attributes.Count("autoglm.steps", record.num_steps);
  attributes.Count("autoglm.preemptions", record.num_preemptions);
  attributes.Count("autoglm.largest_batch", record.largest_batch);
  attributes.Count("autoglm.tcp.rtt_us", record.tcp.rtt_us);
  attributes.Count("autoglm.tcp.min_rtt_us", record.tcp.min_rtt_us);
  attributes.Count("autoglm.tcp.retransmits", record.tcp.num_retransmits);
}

Span RootOf(const RequestRecord& record, const InternedNames& names) {
  const std::string_view route = names.NameOf(record.route);
  const std::string_view model = names.NameOf(record.model);
  const std::string_view operation = OperationOf(route);
  Span root{.trace = record.trace,
            .id = record.span,
            .parent = record.parent,
            .name = !operation.empty() && !model.empty() ? fmt::format("{} {}", operation, model)
                                                         : fmt::format("{} {}", names.NameOf(record.method), route),
            .kind = SpanKind::kServer,
            .begin_unix_ns = record.begun_unix_ns,
            .end_unix_ns = record.begun_unix_ns + record.total_ns,
            .attributes = {},
            .events = {},
            .is_error = record.status >= 500,
            .message = {}};
  Attributes attributes(root);
  attributes.Text("gen_ai.request.id", record.id.view());
  attributes.Text("http.request.method", names.NameOf(record.method));
  attributes.Text("http.route", route);
  attributes.Count("http.response.status_code", record.status);
  if (record.status >= 400) attributes.Text("error.type", std::to_string(record.status));
  attributes.Text("autoglm.refused", names.NameOf(record.reason));
  attributes.Text("autoglm.tenant", names.NameOf(record.tenant));
  attributes.Text("autoglm.slo_class", names.NameOf(record.slo_class));
  attributes.Text("autoglm.upstream", names.NameOf(record.upstream));
  attributes.Flag("autoglm.client_gone", record.is_client_gone);
  attributes.Flag("autoglm.violates_slo", record.violates_slo);
  if (!operation.empty()) {
    attributes.Text("gen_ai.operation.name", operation);
    attributes.Text("gen_ai.provider.name", "autoglm");
    AddUsage(record, names, attributes);
    AddLatencies(record, attributes);
  }
  AddCosts(record, attributes);
  if (record.first_token_ns > 0) root.events.push_back({"first_token", record.begun_unix_ns + record.first_token_ns});
  if (root.is_error) root.message = fmt::format("answered {}", record.status);
  return root;
}

Span BelowRoot(const RequestRecord& record, uint64_t begin_us, uint64_t end_us) {
  // Zipkin knows no shorter ones than a microsecond.
  return {.trace = record.trace,
          .id = {},
          .parent = record.span,
          .name = {},
          .kind = SpanKind::kInternal,
          .begin_unix_ns = record.begun_unix_ns + static_cast<int64_t>(begin_us) * 1000,
          .end_unix_ns = record.begun_unix_ns + static_cast<int64_t>(std::max(end_us, begin_us + 1)) * 1000,
          .attributes = {},
          .events = {},
          .is_error = false,
          .message = {}};
}

size_t AttemptNumber(const RequestRecord& record, size_t place) {
  const bool is_last = place + 1 == RequestRecord::kMaxAttempts;
  return is_last ? std::max<size_t>(record.num_attempts, 1) - 1 : place;
}

size_t NumAttemptsHeld(const RequestRecord& record) { return std::min<size_t>(record.num_attempts, RequestRecord::kMaxAttempts); }

Span SpanOfAttempt(const RequestRecord& record, size_t place, const InternedNames& names) {
  const AttemptRecord& attempt = record.attempts[place];
  const uint64_t end_us = attempt.end_us > 0 ? attempt.end_us : static_cast<uint64_t>(record.total_ns) / 1000;
  Span span = BelowRoot(record, attempt.begin_us, end_us);
  span.id = AttemptSpanId(record.span, AttemptNumber(record, place));
  span.kind = SpanKind::kClient;
  span.name = fmt::format("attempt {}", names.NameOf(attempt.upstream));
  Attributes attributes(span);
  attributes.Text("server.address", names.NameOf(attempt.upstream));
  attributes.Count("http.response.status_code", attempt.status);
  attributes.Text("error.type", names.NameOf(attempt.reason));
  attributes.Flag("autoglm.retry", attempt.is_retry);
  attributes.Flag("autoglm.hedge", attempt.is_hedge);
  attributes.Flag("autoglm.continuation", attempt.is_continuation);
  attributes.Flag("autoglm.answer", attempt.is_answer);
  // The slower one of two at once did nothing wrong.
  span.is_error = attempt.reason != 0 && names.NameOf(attempt.reason) != "slower_one";
  if (span.is_error) span.message = names.NameOf(attempt.reason);
  if (attempt.first_byte_us > 0) {
    span.events.push_back({"first_byte", record.begun_unix_ns + int64_t{attempt.first_byte_us} * 1000});
  }
  return span;
}

bool IsOfAttempt(Stage stage) {
  return stage == Stage::kConnect || stage == Stage::kSend || stage == Stage::kWait || stage == Stage::kStream;
}

// The attempt that the piece is part of, or the whole.
SpanId ParentOf(const StageSpan& piece, const RequestRecord& record) {
  if (!IsOfAttempt(piece.stage)) return record.span;
  const auto is_of = [&piece](const AttemptRecord& attempt) {
    if (attempt.begin_us > piece.begin_us) return false;
    return piece.stage != Stage::kStream || (attempt.first_byte_us > 0 && attempt.first_byte_us <= piece.begin_us + 1);
  };
  for (size_t i = NumAttemptsHeld(record); i > 0; --i) {
    if (is_of(record.attempts[i - 1])) {
      return AttemptSpanId(record.span, AttemptNumber(record, i - 1));
    }
  }
  return record.span;
}

}  // namespace

SpanId AttemptSpanId(const SpanId& request, size_t attempt) { return request.Child(kFirstAttemptChild + attempt); }

std::vector<Span> SpansOf(const RequestRecord& record, const InternedNames& names, const RequestText* text) {
  std::vector<Span> spans;
  spans.reserve(size_t{1} + record.num_spans + NumAttemptsHeld(record));
  spans.push_back(RootOf(record, names));
  if (text != nullptr) {
    Attributes attributes(spans.front());
    attributes.Text("gen_ai.input.messages", text->input_messages);
    attributes.Text("gen_ai.output.messages", text->output_messages);
  }
  for (size_t i = 0; i < NumAttemptsHeld(record); ++i) spans.push_back(SpanOfAttempt(record, i, names));
  for (size_t i = 0; i < record.num_spans; ++i) {
    const StageSpan& piece = record.spans[i];
    Span span = BelowRoot(record, piece.begin_us, piece.end_us());
    span.id = record.span.Child(i);
    span.parent = ParentOf(piece, record);
    span.name = StageName(piece.stage);
    Attributes attributes(span);
    attributes.Count("autoglm.tokens", piece.num_tokens);
    attributes.Count("autoglm.batch", piece.batch);
    if (piece.num_parts > 1) attributes.Count("autoglm.parts", piece.num_parts);
    spans.push_back(std::move(span));
  }
  return spans;
}

}  // namespace autoglm
