#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

// PCRE2's own types, so that only pre_tokenizer.cc includes its header.
struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace autoglm {

// What tokenizer.ggml.pre stands for.
struct PreTokenizerKind {
  std::string_view name;
  const char* pattern;
  bool normalizes_nfc = false;       // text is brought into NFC before it is cut
  bool ignores_merges = false;       // a piece that is a token stays whole, whatever the merges say
  bool is_glm = false;               // <|user|> and <|observation|> end an answer; BOS is the chat template's business
  bool adds_bos_by_default = false;  // where tokenizer.ggml.add_bos_token is absent
};

// Cuts text into the pieces inside which byte pairs are merged. Immutable after Create, so any thread may use it.
class PreTokenizer {
 public:
  enum class Jit { kWherePossible, kNever };  // the same pieces; kNever is slower, and the reference in tests

  // Errors: kUnsupported; the message lists the names that are known.
  static Result<PreTokenizer> Create(std::string_view name, Jit jit = Jit::kWherePossible);

  const PreTokenizerKind& kind() const { return *kind_; }

 private:
  friend class PieceReader;
  struct Deleter {
    void operator()(pcre2_real_code_8* code) const;
    void operator()(pcre2_real_match_context_8* context) const;
  };
  PreTokenizer(const PreTokenizerKind& kind, Jit jit);

  const PreTokenizerKind* kind_;
  std::unique_ptr<pcre2_real_code_8, Deleter> code_;
  std::unique_ptr<pcre2_real_match_context_8, Deleter> context_;
  bool has_jit_ = false;
};

// Reads the pieces of one text in order; together they are the whole text. The time is linear in its length.
class PieceReader {
 public:
  // Both must outlive the reader; `text` must be valid UTF-8.
  PieceReader(const PreTokenizer& pre_tokenizer, std::string_view text);

  // nullopt after the last piece.
  std::optional<std::string_view> Next();

 private:
  struct Deleter {
    void operator()(pcre2_real_match_data_8* match) const;
  };
  int Match();

  const PreTokenizer& pre_tokenizer_;
  std::string_view text_;
  size_t position_ = 0;
  std::unique_ptr<pcre2_real_match_data_8, Deleter> match_;
};

}  // namespace autoglm
