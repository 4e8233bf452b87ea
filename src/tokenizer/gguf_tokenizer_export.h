#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "weights/gguf_value.h"

namespace autoglm {

// tokenizer.ggml.* and the chat template of a model folder, for a GGUF file of `vocab_size` tokens. Which of GGUF's named
// pre-tokenizers the folder's own is, is found by trial: the first that tokenises a set of awkward texts, the special tokens and
// the ends of an answer alike. Errors: kUnsupported for other tokenizers than tokenizer.json's byte-level BPE, or where no name
// fits; as ReadTokenizerFolder otherwise.
Result<std::vector<std::pair<std::string, GgufValue>>> ExportTokenizer(const std::filesystem::path& folder,
                                                                       const std::vector<int64_t>& extra_eos_ids,
                                                                       int64_t vocab_size);

}  // namespace autoglm
