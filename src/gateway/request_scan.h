#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm::gateway {

// A member's value within a body, as it is written there.
struct JsonSpan {
  size_t begin = 0;
  size_t length = 0;  // 0: absent

  std::string_view In(std::string_view body) const { return body.substr(begin, length); }
};

// What the gateway reads of a request's body. The body itself goes on unchanged, or with a few values replaced.
struct ScannedRequest {
  // What larger bounds count as: more than any context, and far from overflow with all choices.
  static constexpr int64_t kMostTokens = 1'000'000'000;

  std::string model;
  std::string user;
  bool is_stream = false;
  std::optional<int64_t> priority;
  std::optional<int64_t> max_tokens;  // the largest of max_completion_tokens, max_tokens and max_output_tokens
  int64_t num_choices = 1;            // that are generated, also where fewer are shown
  std::string_view reserved;          // a member that only the gateway may set, and that is there; empty: none
  bool has_seed = false;

  JsonSpan model_value;
  std::vector<JsonSpan> max_tokens_values;  // of all that bound the answer, or would if they were not null
  JsonSpan prompt;                          // of messages, prompt or input: raw JSON, whose beginning tells what may be cached

  // Tokens of the prompt, about as many as they can be: a third of its bytes.
  int64_t PromptTokens() const { return static_cast<int64_t>(prompt.length) / 3 + 1; }
};

// Errors: kInvalidArgument for what is no JSON object, for members of the wrong type, and for members that are read here and
// stand there twice: the server behind might take the other one.
Result<ScannedRequest> ScanRequest(const std::string& body);

// A value that replaces another, or, with length 0, is put in.
struct BodyEdit {
  JsonSpan at;
  std::string text;
};
// The body with the edits, which do not overlap, in any order.
std::string EditBody(std::string_view body, std::vector<BodyEdit> edits);
// Puts `members` ("\"a\":1,") first into the object.
BodyEdit FirstMembers(std::string_view body, std::string members);

}  // namespace autoglm::gateway
