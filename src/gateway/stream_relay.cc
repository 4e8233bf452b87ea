#include "gateway/stream_relay.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace autoglm::gateway {
namespace {

// A comment of a stream that can be continued; see docs/api-extensions.md.
constexpr std::string_view kInfoComment = ": autoglm-stream ";
constexpr std::string_view kTokensComment = ": autoglm-tokens ";
constexpr std::string_view kOwnComments = ": autoglm-";

constexpr std::string_view kErrorEvent = "data: {\"error\":";

// An event that grows beyond this without an end is passed on in pieces.
constexpr size_t kMaxPartialBytes = 1 << 20;

// Up to where events are whole: behind the last empty line.
size_t EndOfWholeEvents(std::string_view text) {
  const size_t unix_end = text.rfind("\n\n");
  const size_t other_end = text.rfind("\n\r\n");
  size_t end = 0;
  if (unix_end != std::string_view::npos) end = unix_end + 2;
  if (other_end != std::string_view::npos) end = std::max(end, other_end + 3);
  return end;
}

std::optional<int64_t> CountBehind(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t digits = text.find_first_not_of(" \t\r\n:", at + name.size());
  if (digits == std::string_view::npos) return std::nullopt;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data() + digits, text.data() + text.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  return count;
}

// Of the text that a JSON string holds, whose opening quote stands before `rest`, in UTF-8.
int64_t TextBytes(std::string_view rest) {
  int64_t num_bytes = 0;
  for (size_t i = 0; i < rest.size() && rest[i] != '"'; ++i, ++num_bytes) {
    if (rest[i] != '\\') continue;
    ++i;
    if (i >= rest.size() || rest[i] != 'u') continue;
    uint32_t code = 0;
    const size_t digits = i + 1;
    if (digits + 4 > rest.size()) break;
    std::from_chars(rest.data() + digits, rest.data() + digits + 4, code, 16);
    i += 4;
    // Half of a pair: two of four bytes. The last byte of each is counted by the loop.
    const bool is_half = code >= 0xD800 && code < 0xE000;
    if (code >= 0x80) num_bytes += is_half || code < 0x800 ? 1 : 2;
  }
  return num_bytes;
}

// As our own engines write it, the only ones whose streams are continued.
int64_t TextBytesOfEvent(std::string_view line) {
  for (const std::string_view name : {std::string_view("\"delta\":{\"content\":\""), std::string_view("\"text\":\"")}) {
    const size_t at = line.find(name);
    if (at != std::string_view::npos) return TextBytes(line.substr(at + name.size()));
  }
  return 0;
}

bool HasFinishReason(std::string_view events) {
  constexpr std::string_view kName = "\"finish_reason\":";
  for (size_t at = events.find(kName); at != std::string_view::npos; at = events.find(kName, at + 1)) {
    const size_t value = events.find_first_not_of(' ', at + kName.size());
    if (value != std::string_view::npos && events[value] == '"') return true;
  }
  return false;
}

}  // namespace

std::optional<TokenUsage> FindUsage(std::string_view text) {
  const size_t at = text.rfind("\"usage\"");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view usage = text.substr(at);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kNames = {
      {{"\"prompt_tokens\"", "\"completion_tokens\""}, {"\"input_tokens\"", "\"output_tokens\""}}};
  for (const auto& [input_name, output_name] : kNames) {
    const auto input = CountBehind(usage, input_name);
    // Embeddings have no output.
    if (input) return TokenUsage{.input = *input, .output = CountBehind(usage, output_name).value_or(0)};
  }
  return std::nullopt;
}

std::string StreamRelay::Feed(std::string_view bytes) {
  const bool is_whole = partial_.empty() && bytes.ends_with("\n\n");
  if (is_whole) return Pass(bytes);
  partial_.append(bytes);
  const size_t end = partial_.size() > kMaxPartialBytes ? partial_.size() : EndOfWholeEvents(partial_);
  std::string passed = Pass(std::string_view(partial_).substr(0, end));
  partial_.erase(0, end);
  return passed;
}

std::string StreamRelay::TakeRest() { return Pass(std::exchange(partial_, {})); }

std::string StreamRelay::Pass(std::string_view events) {
  Look(events);
  if (kind_ == Kind::kPlain) return std::string(events);
  std::string kept;
  kept.reserve(events.size());
  while (!events.empty()) {
    const size_t end = std::min(events.find('\n'), events.size() - 1) + 1;
    const std::string_view line = events.substr(0, end);
    if (line.starts_with(kOwnComments)) {
      TakeComment(line);
    } else if (line.starts_with(kErrorEvent)) {
      has_failed_ = true;
    } else {
      text_bytes_ += TextBytesOfEvent(line);
      kept.append(line);
    }
    events.remove_prefix(end);
  }
  return kept;
}

void StreamRelay::Look(std::string_view events) {
  for (size_t at = 0; at < events.size();) {
    if (events.substr(at).starts_with("data:")) {
      ++num_events_;
      if (events.substr(at).starts_with("data: [DONE]")) is_done_ = has_ended_ = true;
    }
    const size_t end = events.find('\n', at);
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  if (!has_ended_) has_ended_ = HasFinishReason(events);
  if (const auto usage = FindUsage(events)) usage_ = usage;
}

void StreamRelay::TakeComment(std::string_view line) {
  if (line.starts_with(kInfoComment)) {
    stream_info_ = std::string(line.substr(kInfoComment.size()));
    while (stream_info_.ends_with('\n') || stream_info_.ends_with('\r')) stream_info_.pop_back();
    return;
  }
  if (!line.starts_with(kTokensComment)) return;
  const char* at = line.data() + kTokensComment.size();
  const char* const end = line.data() + line.size();
  while (at < end) {
    int32_t token = 0;
    const auto [next, error] = std::from_chars(at, end, token);
    if (error != std::errc()) return;
    tokens_.push_back(token);
    at = next + 1;
  }
}

}  // namespace autoglm::gateway
