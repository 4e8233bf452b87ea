#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// A chat template in the Jinja subset that published models use (docs: reference in chat_template.cc). Immutable after
// Parse, so any thread may render.
//
// Environment as Hugging Face sets it: trim_blocks, lstrip_blocks, no autoescape, loop controls, tojson without HTML
// escapes, raise_exception, strftime_now, namespace, range. Rendering is bounded: output bytes, steps, memory and nesting.
class ChatTemplate {
 public:
  // Errors: kUnsupported or kInvalidArgument with line and what was found.
  static Result<std::unique_ptr<ChatTemplate>> Parse(std::string source);
  ~ChatTemplate();

  using Time = std::chrono::system_clock::time_point;

  // Renders with the names of `context` (an object: messages, tools, add_generation_prompt, bos_token, ...). Key order of
  // objects is kept, as Python's dict does. `now` is what strftime_now prints, in local time. Errors: kInvalidArgument with
  // the message of raise_exception, or with what a strict Jinja2 would refuse (adding a list to a string, ...);
  // kUnsupported for what this engine lacks.
  Result<std::string> Render(const nlohmann::ordered_json& context, Time now = std::chrono::system_clock::now()) const;

  // As Render, but returns which bytes came from strings inside the context (what users wrote) rather than from the
  // template itself, so that special tokens are parsed only where the template wrote them. Text that only says who speaks
  // (a well-known name under the key "role"), `bos_token` and `eos_token` count as the template's.
  struct Piece {
    std::string text;
    bool from_context = false;
  };
  Result<std::vector<Piece>> RenderPieces(const nlohmann::ordered_json& context,
                                          Time now = std::chrono::system_clock::now()) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Encodes rendered pieces: neighbouring pieces of one origin are joined; special tokens are parsed in template pieces only.
// Ordinary text that crosses a boundary is tokenised across it, exactly as the whole string would be, unless the boundary
// is a special token.
std::vector<TokenId> EncodePieces(const Tokenizer& tokenizer, const std::vector<ChatTemplate::Piece>& pieces);

}  // namespace autoglm
