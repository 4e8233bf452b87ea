#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace autoglm {

// What `step` says about its type; `role` names it in the message. Errors: kCorruptFile.
Result<std::string> StepType(const Json& step, const std::string& role);
// Calls `read` with each step in the list `name` of a Sequence. Errors: kCorruptFile, and those of `read`.
Status ForEachStep(const Json& sequence, const char* name, const std::function<Status(const Json&)>& read);

// What "normalizer", "pre_tokenizer" and "decoder" of a tokenizer.json ask for, in the terms of this program.
//
// Where a normalizer or a Metaspace writes spaces as U+2581 (spaces_as_marks), both are a space here: in the text, in the
// tokens, and in what the steps after it look for.
class TokenizerJsonSteps {
 public:
  // Errors: kUnsupported naming what is not built; kCorruptFile for values of another type.
  static Result<TokenizerJsonSteps> Read(const Json& tokenizer);

  bool is_byte_level() const { return is_byte_level_; }
  bool spaces_as_marks() const { return spaces_as_marks_; }
  bool drops_first_space() const { return drops_first_space_; }
  // Once each.
  Normalizer TakeNormalizer() { return {std::move(normalizer_steps_), prefix_}; }
  PreTokenizer TakePreTokenizer() { return PreTokenizer(std::move(splitters_)); }

 private:
  Status ReadNormalizer(const Json& step);
  Status ReadReplace(const Json& step);
  Status ReadPrepend(const Json& step);
  Status ReadPreTokenizer(const Json& step);
  Status ReadByteLevel(const Json& step);
  Status ReadDigits(const Json& step);
  Status ReadMetaspace(const Json& step);
  Status ReadSplit(const Json& step);
  Status ReadDecoder(const Json& step);
  void MarkSpaces();

  std::vector<Normalizer::Step> normalizer_steps_;
  SpacePrefix prefix_;
  std::vector<Splitter> splitters_;
  bool is_byte_level_ = false;
  bool spaces_as_marks_ = false;
  bool drops_first_space_ = false;
};

}  // namespace autoglm
