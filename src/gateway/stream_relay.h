#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm::gateway {

// Tokens as an answer's "usage" counts them.
struct TokenUsage {
  int64_t input = 0;
  int64_t output = 0;
};

// The last "usage" within some JSON text that has both counts, under OpenAI's names or the newer input_tokens, output_tokens.
std::optional<TokenUsage> FindUsage(std::string_view text);

// An answer's server-sent events on their way through: only whole events go on, so that a stream that breaks off can still be
// ended with an event of ours, and what is needed to continue it elsewhere is taken out.
class StreamRelay {
 public:
  // kContinuable: the upstream tells the tokens behind its text in comments (": autoglm-..."), which are kept here.
  enum class Kind { kPlain, kContinuable };
  explicit StreamRelay(Kind kind) : kind_(kind) {}

  // What can go on now.
  std::string Feed(std::string_view bytes);
  // What came of an event that will not be complete is forgotten: another upstream goes on from the last whole one.
  void DropPartial() {
    partial_.clear();
    has_failed_ = false;
  }
  // The rest, where the upstream ended without an empty line.
  std::string TakeRest();

  int64_t num_events() const { return num_events_; }  // that carry data
  bool has_ended() const { return has_ended_; }       // "[DONE]", or a reason for the end
  bool is_done() const { return is_done_; }           // "[DONE]"
  // Of kContinuable: the upstream says that it cannot go on, which is not passed on.
  bool has_failed() const { return has_failed_; }
  std::optional<TokenUsage> usage() const { return usage_; }

  // Of kContinuable: what the stream said of itself (a JSON object, empty: nothing yet) and the tokens so far.
  const std::string& stream_info() const { return stream_info_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int64_t text_bytes() const { return text_bytes_; }  // of the answer's text that has gone on

 private:
  std::string Pass(std::string_view events);
  void Look(std::string_view events);
  void TakeComment(std::string_view line);

  const Kind kind_;
  std::string partial_;
  int64_t num_events_ = 0;
  bool has_ended_ = false;
  bool is_done_ = false;
  bool has_failed_ = false;
  std::optional<TokenUsage> usage_;
  std::string stream_info_;
  std::vector<int32_t> tokens_;
  int64_t text_bytes_ = 0;
};

}  // namespace autoglm::gateway
