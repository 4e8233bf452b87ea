#include "openai/chunk_writer.h"

#include <utility>

#include "json/json.h"

namespace autoglm {
namespace {

constexpr std::string_view kRoleDelta = R"("delta":{"role":"assistant","content":""})";

std::string QuotedJson(std::string_view text) {
  std::string out = "\"";
  AppendJsonEscaped(out, text);
  return out + "\"";
}

}  // namespace

ChunkWriter::ChunkWriter(const ResponseHead& head, StreamUsage usage) : kind_(head.kind), usage_(usage) {
  const bool is_chat = kind_ == ResponseKind::kChatCompletion;
  before_choices_ = "data: {\"id\":" + QuotedJson(head.id);
  before_choices_ += is_chat ? R"(,"object":"chat.completion.chunk")" : R"(,"object":"text_completion")";
  before_choices_ += ",\"created\":" + std::to_string(head.created_unix_seconds);
  before_choices_ += ",\"model\":" + QuotedJson(head.model);
  before_choices_ += ",\"system_fingerprint\":" + QuotedJson(head.system_fingerprint);
  before_choices_ += ",\"choices\":[";
  after_choices_ = usage_ == StreamUsage::kInclude ? "],\"usage\":null}\n\n" : "]}\n\n";
  before_text_ = is_chat ? R"("delta":{"content":")" : R"("text":")";
  after_text_ = is_chat ? R"("})" : R"(")";
  no_text_ = is_chat ? R"("delta":{})" : R"("text":"")";
}

void ChunkWriter::AppendRole(std::string& out, size_t choice) const {
  if (kind_ == ResponseKind::kChatCompletion) AppendChunk(out, choice, kRoleDelta, "null");
}

void ChunkWriter::AppendText(std::string& out, size_t choice, std::string_view text) const {
  std::string middle(before_text_);
  AppendJsonEscaped(middle, text);
  middle += after_text_;
  AppendChunk(out, choice, middle, "null");
}

void ChunkWriter::AppendFinish(std::string& out, size_t choice, FinishReason reason) const {
  AppendChunk(out, choice, no_text_, QuotedJson(FinishReasonName(reason)));
}

void ChunkWriter::AppendUsage(std::string& out, const Usage& usage) const {
  if (usage_ == StreamUsage::kOmit) return;
  out += before_choices_;
  out += "],\"usage\":";
  out += UsageJson(usage);
  out += "}\n\n";
}

void ChunkWriter::AppendTiming(std::string& out, std::string_view milliseconds_by_stage) const {
  out += before_choices_;
  out += usage_ == StreamUsage::kInclude ? "],\"usage\":null,\"timing\":" : "],\"timing\":";
  out += milliseconds_by_stage;
  out += "}\n\n";
}

void ChunkWriter::AppendDone(std::string& out) { out += "data: [DONE]\n\n"; }

void ChunkWriter::AppendError(std::string& out, const ErrorBody& error) { out += "data: " + ErrorJson(error) + "\n\n"; }

void ChunkWriter::AppendPing(std::string& out) { out += ": ping\n\n"; }

void ChunkWriter::AppendOrigin(std::string& out, const StreamOrigin& origin) {
  out += ": autoglm-stream " + StreamOriginJson(origin) + "\n";
}

void ChunkWriter::AppendTokens(std::string& out, std::span<const TokenId> tokens) {
  char separator = ' ';
  out += ": autoglm-tokens";
  for (const TokenId token : tokens) {
    out += std::exchange(separator, ',');
    out += std::to_string(token);
  }
  out += '\n';
}

void ChunkWriter::AppendChunk(std::string& out, size_t choice, std::string_view middle, std::string_view finish_reason) const {
  out += before_choices_;
  out += "{\"index\":";
  out += std::to_string(choice);
  out += ',';
  out += middle;
  out += R"(,"logprobs":null,"finish_reason":)";
  out += finish_reason;
  out += '}';
  out += after_choices_;
}

}  // namespace autoglm
