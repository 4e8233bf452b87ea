#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "openai/chunk_writer.h"
#include "openai/response.h"
#include "web/reply.h"

namespace autoglm {

// How the choices of one answer become an HTTP response. Used by one thread at a time. After Complete or Fail no call
// follows.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // How much of the prompts was found in the prefix cache; shown in the head, where it is not sent yet.
  virtual void CachedTokens(int64_t num_tokens) = 0;
  // Tokens of the choice that the next text or the finish accounts for.
  virtual void Tokens(size_t choice, std::span<const TokenId> tokens) = 0;
  virtual void Text(size_t choice, std::string_view text) = 0;
  virtual void Finish(size_t choice, FinishReason reason) = 0;
  // What came since the last Flush shall reach the client now.
  virtual void Flush() = 0;
  // Every choice has finished.
  virtual void Complete(const Usage& usage) = 0;
  // Returns the HTTP status that the client sees.
  virtual int Fail(const Error& error) = 0;
  // Shows the client that the server lives, if nothing else has for long enough.
  virtual void KeepAlive() = 0;
};

// One JSON body when everything is there. `clock` outlives the writer.
std::unique_ptr<AnswerWriter> MakeWholeWriter(ReplyChannel channel, ResponseHead head, size_t num_choices, const Clock& clock);

// Server-sent events as text comes. The head is sent with the first of them, so that a failure before has its own status,
// or with the first ping of a stream that was silent for `ping_interval`.
struct StreamOptions {
  StreamUsage usage = StreamUsage::kOmit;
  Duration ping_interval = std::chrono::seconds(15);
  // Of a stream with one choice: comments before the events say all that another server needs to go on with it.
  std::optional<StreamOrigin> origin = {};
  bool is_continued = false;  // the client has the beginning
};
std::unique_ptr<AnswerWriter> MakeStreamWriter(ReplyChannel channel, const ResponseHead& head, size_t num_choices,
                                               const StreamOptions& options, const Clock& clock);

}  // namespace autoglm
