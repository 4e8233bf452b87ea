#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/fields.h"

namespace autoglm {

// Where the stream of an answer began: what another server must know beside the request to go on with it.
struct StreamOrigin {
  std::string id = {};
  int64_t created_unix_seconds = 0;
  int64_t seed = 0;  // that the tokens are drawn with, also where the request had none
  // A server that begins a stream sets all of these; whoever asks to go on with one may leave them out.
  std::string model = {};  // that answers, which under pressure is not the one asked for
  std::optional<int64_t> num_prompt_tokens = {};
  std::optional<int64_t> num_cached_tokens = {};
  std::optional<int64_t> max_tokens = {};  // that the answer may have, after policy and pressure
};

// The field "autoglm_continue" of a request: an answer to it that another server began.
struct Continuation {
  StreamOrigin origin;
  std::vector<TokenId> token_ids;  // of the answer so far
  int64_t text_bytes = 0;          // of its text that the client has
};

// As a stream says it and "autoglm_continue" repeats it.
std::string StreamOriginJson(const StreamOrigin& origin);

// nullopt where the request begins an answer. Errors: kInvalidArgument for wrong types and ranges, for what is missing and for
// members that are not known; each is named.
Result<std::optional<Continuation>> ReadContinuation(const JsonFields& body);

}  // namespace autoglm
