#pragma once

#include "base/result.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer_model.h"
#include "weights/gguf_file.h"

namespace autoglm {

// Reads tokenizer.ggml.*: models "gpt2" (byte-level BPE) and "llama" (SentencePiece's BPE). Errors: kCorruptFile (lengths
// disagree, a merge of unknown tokens, ids out of range), kUnsupported (another model or pre-tokenizer; the message lists
// those that are known).
Result<TokenizerModel> ReadGgufTokenizer(const GgufFile& file);
// The same from what a file says: for tests and fuzzers, which have no file.
Result<TokenizerModel> BuildGgufTokenizer(const VocabularyData& data);

}  // namespace autoglm
