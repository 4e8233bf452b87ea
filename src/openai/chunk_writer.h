#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "openai/continuation.h"
#include "openai/error.h"
#include "openai/response.h"

namespace autoglm {

enum class StreamUsage { kOmit, kInclude };

// Writes the server-sent events of one streamed answer. All that repeats is serialised once, so a chunk costs two copies
// and the escaping of its text. Each method appends whole events ("data: ...\n\n") to `out`.
//
// Order for a client: AppendRole per choice, any AppendText, AppendFinish per choice, AppendUsage where it was asked for,
// AppendDone. A failure ends with AppendError instead, and nothing after it.
class ChunkWriter {
 public:
  ChunkWriter(const ResponseHead& head, StreamUsage usage);

  // The chunk that opens a choice; nothing for text completions, which have none.
  void AppendRole(std::string& out, size_t choice) const;
  void AppendText(std::string& out, size_t choice, std::string_view text) const;
  void AppendFinish(std::string& out, size_t choice, FinishReason reason) const;
  // Nothing where usage was not asked for.
  void AppendUsage(std::string& out, const Usage& usage) const;
  // Where the time of the request went: milliseconds by stage, as a JSON object. For clients that asked.
  void AppendTiming(std::string& out, std::string_view milliseconds_by_stage) const;
  static void AppendDone(std::string& out);
  static void AppendError(std::string& out, const ErrorBody& error);
  // A comment, which clients skip: keeps proxies from taking a silent stream for a dead one.
  static void AppendPing(std::string& out);
  // Comments of the event that follows, for whoever may have to go on with the stream at another server: where it began, and
  // the tokens that this event's text accounts for beyond those before.
  static void AppendOrigin(std::string& out, const StreamOrigin& origin);
  static void AppendTokens(std::string& out, std::span<const TokenId> tokens);

 private:
  void AppendChunk(std::string& out, size_t choice, std::string_view middle, std::string_view finish_reason) const;

  ResponseKind kind_;
  StreamUsage usage_;
  std::string before_choices_;  // data: {"id":..., "choices":[
  std::string after_choices_;   // ],"usage":null}\n\n
  std::string_view before_text_;
  std::string_view after_text_;
  std::string_view no_text_;
};

}  // namespace autoglm
