#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/vocabulary.h"

namespace autoglm {

// What a GGUF file says about its tokenizer. A view: the arrays must outlive the call they are passed to.
struct VocabularyData {
  std::string_view model = "gpt2";      // tokenizer.ggml.model
  std::string_view pre = "default";     // tokenizer.ggml.pre
  std::span<const std::string> tokens;  // gpt2: spelled in GPT-2's byte alphabet where normal; llama: with U+2581 for spaces
  std::span<const int64_t> types;       // as TokenType; empty: all are normal
  std::span<const std::string> merges;  // gpt2: "left right", best first
  std::span<const double> scores;       // llama: the highest goes first
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;  // tokenizer.ggml.{eos,eot,eom}_token_id
  std::optional<int64_t> unknown;
  std::optional<bool> add_bos;
  std::optional<bool> add_space_prefix;
};

// The two kinds of vocabulary in GGUF files. kByte reads as kNormal; the converter's filler tokens ("[PAD151646]") as kUnused,
// as which older files do not mark them. Errors: kCorruptFile (no tokens, lengths that disagree, an unknown type, a merge of
// unknown tokens, a byte token that is not spelled <0xXX>).
Result<Vocabulary> ReadByteLevelVocabulary(const VocabularyData& data);
Result<Vocabulary> ReadSentencePieceVocabulary(const VocabularyData& data);

}  // namespace autoglm
