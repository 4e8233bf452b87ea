#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "weights/gguf_file.h"

namespace autoglm {

struct TokenizerModel;
struct VocabularyData;

// Whether the spelling of a special token ("<|im_end|>") inside a text stands for the token or for its characters.
// Text that a user wrote is kPlain; what a chat template wrote around it is kParse.
enum class SpecialTokens { kPlain, kParse };

// Text to token ids and back: byte-level BPE, BPE of characters with byte fallback, SentencePiece's BPE, tiktoken.
// Immutable after loading, so any thread may use it.
class Tokenizer {
 public:
  // Reads tokenizer.ggml.* (gguf_tokenizer.h has the errors).
  static Result<std::unique_ptr<Tokenizer>> FromGguf(const GgufFile& file);
  // The same from what a file says (gguf_vocabulary.h): for tests and fuzzers, which have no file.
  static Result<std::unique_ptr<Tokenizer>> Create(const VocabularyData& data);
  static std::unique_ptr<Tokenizer> Create(TokenizerModel model);
  ~Tokenizer();

  // Invalid UTF-8 is encoded byte by byte; bytes that the vocabulary lacks are left out, or become its unknown token. No BOS
  // is added here: see add_bos.
  std::vector<TokenId> Encode(std::string_view text, SpecialTokens specials) const;

  // Encodes `text` where bytes [0, n) with is_plain[i] true never form part of a special token's spelling. Text that crosses
  // such a boundary is otherwise tokenised as one. `is_plain` is as long as `text`.
  std::vector<TokenId> EncodeMarked(std::string_view text, const std::vector<bool>& is_plain) const;

  // The bytes of one token; the empty string for control tokens and ids outside the vocabulary.
  std::string_view TokenBytes(TokenId token) const;
  // As TokenBytes, but control tokens give their spelling.
  std::string_view TokenSpelling(TokenId token) const;
  bool IsControl(TokenId token) const;
  // The id of a special token by its spelling, or of a normal token by its bytes; -1 is never returned: kNotFound.
  Result<TokenId> FindToken(std::string_view spelling) const;

  // The bytes of all tokens, which need not be valid UTF-8: for tests and tools; streams use Detokenizer. Without the space
  // that encoding put before the text (drops_first_space).
  std::string Decode(const std::vector<TokenId>& tokens) const;

  int64_t vocab_size() const;                      // ids [0, vocab_size) hold every token that is not mere filling
  const std::vector<TokenId>& eos_tokens() const;  // every token that ends an answer: eos, eot, eom and well-known spellings
  bool add_bos() const;                            // prefix plain prompts with bos_token()
  TokenId bos_token() const;                       // meaningful where has_bos
  bool has_bos() const;
  // Whether the first space of a decoded text is one that encoding puts before every text, as in Llama 2 and ChatGLM3.
  bool drops_first_space() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm
