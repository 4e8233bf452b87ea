#include "tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/check.h"

namespace autoglm {
namespace {

// The published patterns with \s written out: PCRE2's \s also has U+180E, which is not white space since Unicode 6.3.
// Every character matches some alternative, and what repeats is one class at a time: no match needs more than constant
// memory, and a piece never costs more than its own length.
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\t-\r\x{85}\p{Z}\p{L}\p{N}]+)"
                              R"(|[\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}])|[\t-\r\x{85}\p{Z}]+)";
// Every digit is a piece of its own, and GPT-2's pattern cuts what lies between: a digit ends its text as the end does.
constexpr const char* kSmolLm = R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\t-\r\x{85}\p{Z}\p{L}\p{N}]+)"
                                R"(|[\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}\p{N}])|[\t-\r\x{85}\p{Z}]+)";
// tiktoken's cl100k: Llama 3 and GLM-4.
constexpr const char* kCl100k =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\t-\r\x{85}\p{Z}\p{L}\p{N}]+[\r\n]*)"
    R"(|[\t-\r\x{85}\p{Z}]*[\r\n]+|[\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}])|[\t-\r\x{85}\p{Z}]+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\t-\r\x{85}\p{Z}\p{L}\p{N}]+[\r\n]*)"
    R"(|[\t-\r\x{85}\p{Z}]*[\r\n]+|[\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}])|[\t-\r\x{85}\p{Z}]+)";

constexpr auto kKinds = std::to_array<PreTokenizerKind>({
    {.name = "smollm", .pattern = kSmolLm},
    {.name = "gpt-2", .pattern = kGpt2},
    {.name = "default", .pattern = kGpt2},
    {.name = "llama-bpe", .pattern = kCl100k, .ignores_merges = true, .adds_bos_by_default = true},
    {.name = "qwen2", .pattern = kQwen2, .normalizes_nfc = true},
    {.name = "glm4", .pattern = kCl100k, .ignores_merges = true, .is_glm = true},
    {.name = "chatglm-bpe", .pattern = kCl100k, .is_glm = true},
});

std::string KnownNames() {
  std::string names;
  for (const PreTokenizerKind& kind : kKinds) names.append(names.empty() ? "" : ", ").append(kind.name);
  return names;
}

}  // namespace

void PreTokenizer::Deleter::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void PreTokenizer::Deleter::operator()(pcre2_real_match_context_8* context) const { pcre2_match_context_free(context); }
void PieceReader::Deleter::operator()(pcre2_real_match_data_8* match) const { pcre2_match_data_free(match); }

Result<PreTokenizer> PreTokenizer::Create(std::string_view name, Jit jit) {
  const auto* const kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& known) { return known.name == name; });
  if (kind == kKinds.end()) {
    return Fail(ErrorCode::kUnsupported,
                "pre-tokenizer \"" + std::string(name) + "\" (tokenizer.ggml.pre) is not known; known are " + KnownNames());
  }
  return PreTokenizer(*kind, jit);
}

PreTokenizer::PreTokenizer(const PreTokenizerKind& kind, Jit jit) : kind_(&kind) {
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kind.pattern), PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &error_offset, nullptr));
  AUTOGLM_CHECK(code_ != nullptr);
  // A hardened kernel may refuse executable memory; the interpreter gives the same matches.
  has_jit_ = jit == Jit::kWherePossible && pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
  // The limit counts steps of one match, of which a long run of spaces needs one for each space.
  context_.reset(pcre2_match_context_create(nullptr));
  AUTOGLM_CHECK(context_ != nullptr);
  pcre2_set_match_limit(context_.get(), std::numeric_limits<uint32_t>::max());
}

PieceReader::PieceReader(const PreTokenizer& pre_tokenizer, std::string_view text)
    : pre_tokenizer_(pre_tokenizer), text_(text), match_(pcre2_match_data_create(1, nullptr)) {
  AUTOGLM_CHECK(match_ != nullptr);
}

std::optional<std::string_view> PieceReader::Next() {
  if (position_ == text_.size()) return std::nullopt;
  const int num_groups = Match();
  const size_t begin = position_;
  position_ = pcre2_get_ovector_pointer(match_.get())[1];
  AUTOGLM_CHECK(num_groups > 0 && position_ > begin && position_ <= text_.size());
  return text_.substr(begin, position_ - begin);
}

int PieceReader::Match() {
  const auto* const text = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const auto* const code = pre_tokenizer_.code_.get();
  auto* const context = pre_tokenizer_.context_.get();
  if (pre_tokenizer_.has_jit_) {
    const int result = pcre2_jit_match(code, text, text_.size(), position_, PCRE2_NO_UTF_CHECK, match_.get(), context);
    if (result > 0) return result;
  }
  // Where the JIT's stack of 32 KB is too small, the interpreter's heap is not.
  return pcre2_match(code, text, text_.size(), position_, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match_.get(), context);
}

}  // namespace autoglm
