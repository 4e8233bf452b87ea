#include "cli/waterfall.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "cli/text_format.h"

namespace autoglm {
namespace {

constexpr int kNameColumns = 26;
constexpr int kTimeColumns = 12;
constexpr int kLeastBarColumns = 20;

std::string Text(const Json& json, const char* key) { return json.value(key, std::string()); }

// One line of the picture; times in milliseconds since the first record began.
struct Row {
  std::string name;
  double begin_ms = 0;
  double length_ms = 0;
  std::string note;
  bool is_heading = false;
};

std::string NoteOf(const Json& span) {
  std::string note;
  if (span.contains("tokens")) note += fmt::format("{} tokens", span["tokens"].get<int64_t>());
  if (span.contains("batch")) note += fmt::format("{}batch {}", note.empty() ? "" : ", ", span["batch"].get<int64_t>());
  if (span.contains("parts")) note += fmt::format("{}{} pieces", note.empty() ? "" : ", ", span["parts"].get<int64_t>());
  return note;
}

void AddAttempts(const Json& record, double offset_ms, const std::string& indent, std::vector<Row>& rows) {
  if (!record.contains("attempts")) return;
  for (const Json& attempt : record["attempts"]) {
    const double begin = attempt.value("begin_us", 0.0) / 1000;
    const double end =
        attempt.value("end_us", 0.0) > 0 ? attempt.value("end_us", 0.0) / 1000 : record.value("total_ns", 0.0) / 1e6;
    std::string note;
    for (const char* mark : {"retry", "hedge", "continuation"}) {
      if (attempt.value(mark, false)) note += fmt::format("{}, ", mark);
    }
    note += attempt.contains("failed") ? "failed: " + Text(attempt, "failed") : fmt::format("{}", attempt.value("status", 0));
    rows.push_back({.name = indent + "→ " + StripControlCharacters(Text(attempt, "upstream")),
                    .begin_ms = offset_ms + begin,
                    .length_ms = std::max(0.0, end - begin),
                    .note = StripControlCharacters(note)});
  }
}

std::string HeadingOf(const Json& record) {
  std::string heading = fmt::format("{} {}", Text(record, "method"), Text(record, "route"));
  if (const std::string model = Text(record, "model"); !model.empty()) heading += " " + model;
  return StripControlCharacters(heading);
}

void AddRecord(const Json& record, double first_ns, int depth, std::vector<Row>& rows) {
  const std::string indent(static_cast<size_t>(2 * depth), ' ');
  const double offset_ms = (record.value("begun_unix_ns", 0.0) - first_ns) / 1e6;
  rows.push_back({.name = indent + HeadingOf(record),
                  .begin_ms = offset_ms,
                  .length_ms = record.value("total_ns", 0.0) / 1e6,
                  .note = fmt::format("{} {}", record.value("status", 0), Text(record, "finish")),
                  .is_heading = true});
  AddAttempts(record, offset_ms, indent + "  ", rows);
  if (!record.contains("spans")) return;
  for (const Json& span : record["spans"]) {
    rows.push_back({.name = indent + "  " + StripControlCharacters(Text(span, "stage")),
                    .begin_ms = offset_ms + span.value("begin_us", 0.0) / 1000,
                    .length_ms = span.value("length_us", 0.0) / 1000,
                    .note = NoteOf(span)});
  }
}

std::string Bar(const Row& row, double total_ms, int columns) {
  const double scale = total_ms > 0 ? columns / total_ms : 0;
  const int begin = std::clamp(static_cast<int>(std::floor(row.begin_ms * scale)), 0, columns - 1);
  const int length = std::clamp(static_cast<int>(std::lround(row.length_ms * scale)), 1, columns - begin);
  std::string bar(static_cast<size_t>(begin), ' ');
  for (int i = 0; i < length; ++i) bar += row.is_heading ? "━" : "█";
  return bar + std::string(static_cast<size_t>(columns - begin - length), ' ');
}

// Columns of a terminal, not bytes: names may have an arrow.
std::string Padded(const std::string& text, int columns) {
  const auto num_continued = std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; });
  const auto width = static_cast<int>(std::ssize(text) - num_continued);
  if (width <= columns) return text + std::string(static_cast<size_t>(columns - width), ' ');
  return text.substr(0, static_cast<size_t>(columns - 1)) + "…";
}

std::string SideFigures(const Json& record) {
  std::vector<std::pair<std::string, std::string>> rows;
  const auto add_ns = [&](const char* name, const char* key) {
    if (record.contains(key)) rows.emplace_back(name, FormatMilliseconds(record[key].get<double>() / 1e6));
  };
  add_ns("first token after", "first_token_ns");
  if (record.contains("prompt_tokens")) {
    rows.emplace_back("tokens", fmt::format("{} in ({} cached), {} out", record.value("prompt_tokens", 0),
                                            record.value("cached_tokens", 0), record.value("completion_tokens", 0)));
  }
  if (record.contains("steps")) {
    rows.emplace_back("steps",
                      fmt::format("{}, {} of them with the prompt, batch {:.1f} in the mean", record["steps"].get<int64_t>(),
                                  record.value("prefill_steps", 0), record.value("mean_batch", 0.0)));
  }
  if (record.contains("preemptions"))
    rows.emplace_back("preempted", fmt::format("{} times", record["preemptions"].get<int64_t>()));
  add_ns("CPU", "cpu_ns");
  add_ns("waited for a CPU", "run_queue_ns");
  add_ns("client took no bytes", "write_blocked_ns");
  if (record.contains("tcp")) {
    const Json& tcp = record["tcp"];
    rows.emplace_back("network",
                      fmt::format("round trip {} (least {}), {} retransmits", FormatMilliseconds(tcp.value("rtt_us", 0.0) / 1000),
                                  FormatMilliseconds(tcp.value("min_rtt_us", 0.0) / 1000), tcp.value("retransmits", 0)));
  }
  const Json& stages = record["stages_ns"];
  const double unexplained = stages.value("unexplained", 0.0);
  rows.emplace_back("unexplained", fmt::format("{} ({:.2f} %)", FormatMilliseconds(unexplained / 1e6),
                                               100 * unexplained / std::max(1.0, record.value("total_ns", 1.0))));
  return FormatTable(rows);
}

}  // namespace

std::string FormatWaterfall(const std::vector<Json>& records, int columns, const Console& console) {
  if (records.empty()) return {};
  double first_ns = records.front().value("begun_unix_ns", 0.0);
  double last_ns = 0;
  for (const Json& record : records) {
    first_ns = std::min(first_ns, record.value("begun_unix_ns", 0.0));
    last_ns = std::max(last_ns, record.value("begun_unix_ns", 0.0) + record.value("total_ns", 0.0));
  }
  std::vector<Json> by_time = records;
  std::ranges::stable_sort(by_time, {}, [](const Json& record) { return record.value("begun_unix_ns", 0.0); });
  std::vector<Row> rows;
  // By time is by call: whoever is called begins later, and has a caller that began before.
  for (const Json& record : by_time) {
    int depth = 0;
    for (const Json& other : by_time) {
      const bool is_within = &other != &record && !other.value("attempts", Json::array()).empty() &&
                             other.value("begun_unix_ns", 0.0) <= record.value("begun_unix_ns", 0.0);
      if (is_within) depth = 1;
    }
    AddRecord(record, first_ns, depth, rows);
  }
  const int bar_columns = std::max(kLeastBarColumns, columns - kNameColumns - kTimeColumns - 22);
  const double total_ms = (last_ns - first_ns) / 1e6;
  const Json& main = by_time.front();
  std::string out = fmt::format("{}request{} {}   {}trace{} {}\n\n", Dim(console), ResetStyle(console),
                                StripControlCharacters(Text(main, "id")), Dim(console), ResetStyle(console),
                                StripControlCharacters(Text(main, "trace_id")));
  for (const Row& row : rows) {
    const std::string_view style = row.is_heading ? Bold(console) : std::string_view();
    out += fmt::format("{}{}{} {:>10}  {}  {}{}{}\n", style, Padded(row.name, kNameColumns),
                       style.empty() ? "" : ResetStyle(console), FormatMilliseconds(row.length_ms),
                       Bar(row, total_ms, bar_columns), Dim(console), row.note, ResetStyle(console));
  }
  for (const Json& record : by_time) {
    out += fmt::format("\n{}{}{}\n{}", Bold(console), HeadingOf(record), ResetStyle(console), SideFigures(record));
  }
  return out;
}

}  // namespace autoglm
