#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {
namespace {

// Control tokens of these spellings end an answer, also where the file's metadata does not name them.
constexpr auto kEndSpellings = std::to_array<std::string_view>(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "</s>", "<|end_of_text|>"});
// GLM ends its turn by starting another's. In other models these spellings open a turn inside the prompt.
constexpr auto kGlmEndSpellings = std::to_array<std::string_view>({"<|user|>", "<|observation|>"});

// Without the filling at the end, which brings the vocabulary to the model's size.
int64_t SizeWithoutFilling(const Vocabulary& vocabulary) {
  TokenId size = vocabulary.size();
  while (size > 0 && vocabulary.type(size - 1) == TokenType::kUnused) --size;
  return size;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerModel model_in)
      : model(std::move(model_in)),
        specials(*model.vocabulary, model.special_options),
        vocab_size(SizeWithoutFilling(*model.vocabulary)),
        eos(EndTokens()) {}

  const Vocabulary& vocabulary() const { return *model.vocabulary; }
  std::vector<TokenId> EndTokens() const;
  std::vector<TokenId> Encode(std::string_view text, PlainBytes plain) const;

  const TokenizerModel model;
  const SpecialMatcher specials;
  const int64_t vocab_size;
  const std::vector<TokenId> eos;
};

std::vector<TokenId> Tokenizer::Impl::EndTokens() const {
  std::vector<TokenId> ends;
  const auto add = [&](TokenId token) {
    if (std::find(ends.begin(), ends.end(), token) == ends.end()) ends.push_back(token);
  };
  const auto add_spelling = [&](std::string_view spelling) {
    const auto token = specials.Find(spelling);
    if (token && vocabulary().IsControl(*token)) add(*token);
  };
  std::for_each(model.eos.begin(), model.eos.end(), add);
  std::for_each(kEndSpellings.begin(), kEndSpellings.end(), add_spelling);
  if (model.ends_at_glm_roles) std::for_each(kGlmEndSpellings.begin(), kGlmEndSpellings.end(), add_spelling);
  return ends;
}

std::vector<TokenId> Tokenizer::Impl::Encode(std::string_view text, PlainBytes plain) const {
  std::vector<TokenId> tokens;
  tokens.reserve(text.size() / 4 + 1);
  TextPlace place = TextPlace::kStart;
  size_t position = 0;
  while (position < text.size()) {
    const auto special = specials.FindNext(text, position, plain);
    const size_t end = special ? special->begin : text.size();
    model.text_encoder->Append(text.substr(position, end - position), place, tokens);
    if (!special) break;
    tokens.push_back(special->token);
    place = vocabulary().IsControl(special->token) ? TextPlace::kAfterControl : TextPlace::kAfterUserDefined;
    position = end + special->num_bytes;
  }
  return tokens;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const GgufFile& file) {
  AUTOGLM_TRY(TokenizerModel model, ReadGgufTokenizer(file));
  return Create(std::move(model));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(const VocabularyData& data) {
  AUTOGLM_TRY(TokenizerModel model, BuildGgufTokenizer(data));
  return Create(std::move(model));
}

std::unique_ptr<Tokenizer> Tokenizer::Create(TokenizerModel model) {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<Impl>(std::move(model))));
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, SpecialTokens specials) const {
  return impl_->Encode(text, specials == SpecialTokens::kParse ? PlainBytes::None() : PlainBytes::All());
}

std::vector<TokenId> Tokenizer::EncodeMarked(std::string_view text, const std::vector<bool>& is_plain) const {
  AUTOGLM_CHECK(is_plain.size() == text.size());
  return impl_->Encode(text, PlainBytes::Marked(is_plain));
}

std::string_view Tokenizer::TokenBytes(TokenId token) const {
  if (!impl_->vocabulary().Contains(token)) return {};
  const TokenType type = impl_->vocabulary().type(token);
  return type == TokenType::kNormal || type == TokenType::kUserDefined ? impl_->vocabulary().bytes(token) : std::string_view();
}

std::string_view Tokenizer::TokenSpelling(TokenId token) const {
  return IsControl(token) ? impl_->vocabulary().bytes(token) : TokenBytes(token);
}

bool Tokenizer::IsControl(TokenId token) const {
  return impl_->vocabulary().Contains(token) && impl_->vocabulary().IsControl(token);
}

Result<TokenId> Tokenizer::FindToken(std::string_view spelling) const {
  if (const auto special = impl_->specials.Find(spelling)) return *special;
  if (const auto normal = impl_->vocabulary().FindNormal(spelling)) return *normal;
  return Fail(ErrorCode::kNotFound, "the vocabulary has no token \"" + std::string(spelling) + "\"");
}

std::string Tokenizer::Decode(const std::vector<TokenId>& tokens) const {
  std::string bytes;
  for (const TokenId token : tokens) bytes.append(TokenBytes(token));
  if (drops_first_space() && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

int64_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
const std::vector<TokenId>& Tokenizer::eos_tokens() const { return impl_->eos; }
bool Tokenizer::add_bos() const { return impl_->model.add_bos; }
bool Tokenizer::has_bos() const { return impl_->model.bos.has_value(); }
bool Tokenizer::drops_first_space() const { return impl_->model.drops_first_space; }

TokenId Tokenizer::bos_token() const {
  AUTOGLM_CHECK(impl_->model.bos.has_value());
  return *impl_->model.bos;
}

}  // namespace autoglm
