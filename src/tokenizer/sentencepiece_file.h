#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// What a SentencePiece model file (tokenizer.model) says: a protobuf of type ModelProto.
// Source of the field numbers: google/sentencepiece, src/sentencepiece_model.proto.
struct SentencePieceFile {
  std::vector<std::string> pieces;  // spaces as U+2581
  std::vector<double> scores;
  std::vector<int64_t> types;  // as TokenType
  int64_t unknown_id = 0;
  int64_t bos_id = 1;
  int64_t eos_id = 2;
  bool is_bpe = false;
  bool adds_space_prefix = true;
  bool removes_extra_spaces = true;
  bool escapes_spaces = true;
  bool puts_space_after = false;
  std::string character_map;  // precompiled_charsmap

  // Memory is a small multiple of the bytes. Errors: kCorruptFile.
  static Result<SentencePieceFile> Parse(std::string_view bytes);
};

// Reads such a file. `added_tokens` (tokenizer_config.json) come on top; ChatGLM3's are known by the size of its vocabulary.
// Errors: kCorruptFile; kUnsupported for models other than BPE, and for normalisation that is not built.
Result<TokenizerModel> BuildSentencePieceFile(std::string_view bytes, const std::vector<AddedToken>& added_tokens);

}  // namespace autoglm
