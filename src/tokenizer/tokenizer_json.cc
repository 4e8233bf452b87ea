#include "tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/byte_pair_encoder.h"
#include "tokenizer/byte_token.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_json_reader.h"
#include "tokenizer/tokenizer_json_steps.h"

namespace autoglm {
namespace {

tl::unexpected<Error> Corrupt(const std::string& what) { return Fail(ErrorCode::kCorruptFile, "tokenizer.json: " + what); }
tl::unexpected<Error> Unsupported(const std::string& what) {
  return Fail(ErrorCode::kUnsupported, "tokenizer.json: " + what + " is not supported");
}

// "None" is null or, in some files, empty.
bool IsNone(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return true;
  if (member->is_string()) return member->get_ref<const std::string&>().empty();
  return *member == 0.0;
}
bool IsTrue(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && *member == true;
}

struct PlacedToken {
  std::string_view spelling;
  const AddedToken* added = nullptr;  // null: of model.vocab only
  bool is_in_vocab = false;
};

// Puts the tokens of model.vocab and the added tokens together, then the merges.
class Builder {
 public:
  Builder(const TokenizerJson& json, TokenizerJsonSteps steps) : json_(json), steps_(std::move(steps)) {}

  Result<TokenizerModel> Build() {
    AUTOGLM_TRY_VOID(CheckModel());
    AUTOGLM_TRY_VOID(ReadAddedTokens());
    AUTOGLM_TRY_VOID(PlaceTokens());
    auto vocabulary = std::make_unique<Vocabulary>(placed_.size(), json_.merges.size());
    for (const PlacedToken& token : placed_) AddToken(token, *vocabulary);
    AUTOGLM_TRY_VOID(AddMerges(*vocabulary));
    model_.vocabulary = std::move(vocabulary);
    AUTOGLM_TRY_VOID(SetEncoder());
    AUTOGLM_TRY_VOID(SetEnds());
    return std::move(model_);
  }

 private:
  const Json& model() const { return json_.rest.at("model"); }

  Status CheckModel() const {
    if (!json_.rest.contains("model") || !model().is_object()) return Corrupt("there is no model");
    const auto type = model().find("type");
    if (type != model().end() && *type != "BPE") return Unsupported("a model of type " + type->dump());
    if (json_.vocab.empty()) return Corrupt("model.vocab is empty");
    if (json_.merges.size() > Vocabulary::kMergesMax) return Corrupt("model.merges has too many merges");
    for (const char* const name : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!IsNone(model(), name)) return Unsupported(std::string("model.") + name);
    }
    return {};
  }

  Status ReadAddedTokens() {
    const auto list = json_.rest.find("added_tokens");
    if (list == json_.rest.end() || list->is_null()) return {};
    if (!list->is_array()) return Corrupt("added_tokens is no list");
    added_.reserve(list->size());
    for (const Json& object : *list) {
      AUTOGLM_TRY(AddedToken token, AddedToken::Read(object));
      added_.push_back(std::move(token));
    }
    return {};
  }

  Status PlaceTokens() {
    // Ids may have gaps, but not so many that memory is at stake.
    const size_t num_max = 2 * (json_.vocab.size() + added_.size()) + 65'536;
    const auto place = [&](int64_t id) -> Result<PlacedToken*> {
      if (id < 0 || std::cmp_greater_equal(id, std::min(num_max, Vocabulary::kTokensMax))) {
        return Corrupt("the id " + std::to_string(id) + " is out of range");
      }
      if (std::cmp_greater_equal(id, placed_.size())) placed_.resize(static_cast<size_t>(id) + 1);
      return &placed_[static_cast<size_t>(id)];
    };
    ids_.reserve(json_.vocab.size());
    for (const TokenizerJson::Entry& entry : json_.vocab) {
      AUTOGLM_TRY(PlacedToken* const token, place(entry.id));
      if (token->is_in_vocab || !ids_.emplace(entry.spelling, static_cast<TokenId>(entry.id)).second) {
        return Corrupt("the token \"" + entry.spelling + "\" or its id is there twice");
      }
      *token = {.spelling = entry.spelling, .is_in_vocab = true};
    }
    for (const AddedToken& added : added_) {
      AUTOGLM_TRY(PlacedToken* const token, place(added.id));
      if (token->added != nullptr || (token->is_in_vocab && token->spelling != added.content)) {
        return Corrupt("the added token \"" + added.content + "\" has the id of another token");
      }
      token->spelling = added.content;
      token->added = &added;
    }
    return {};
  }

  void AddToken(const PlacedToken& token, Vocabulary& vocabulary) {
    using Lookup = Vocabulary::Lookup;
    if (token.added != nullptr) return AddAddedToken(token, vocabulary);
    if (!token.is_in_vocab) {
      vocabulary.Add({}, TokenType::kUnused, Lookup::kNever);
      return;
    }
    if (steps_.is_byte_level()) {
      std::string bytes;
      const bool is_in_alphabet = AppendBytesFromAlphabet(token.spelling, bytes);
      // A token outside the alphabet is read as it is written; no text leads to it.
      vocabulary.Add(is_in_alphabet ? bytes : token.spelling, TokenType::kNormal,
                     is_in_alphabet ? Lookup::kByText : Lookup::kNever);
      return;
    }
    const auto byte = IsTrue(model(), "byte_fallback") ? ByteFromSpelling(token.spelling) : std::nullopt;
    if (byte) {
      const auto character = static_cast<char>(*byte);
      vocabulary.SetByteToken(*byte, vocabulary.Add({&character, 1}, TokenType::kNormal, Lookup::kNever));
      return;
    }
    vocabulary.Add(Text(token.spelling), TokenType::kNormal, LookupOf(token.spelling));
  }

  void AddAddedToken(const PlacedToken& token, Vocabulary& vocabulary) {
    const AddedToken& added = *token.added;
    TokenType type = added.is_special ? TokenType::kControl : TokenType::kUserDefined;
    // Before normalisation a text has spaces and not marks, so such a token is found by merges only.
    const bool is_never_matched = steps_.spaces_as_marks() && !added.is_normalized && Text(added.content) != added.content;
    if (!added.is_special && is_never_matched) type = TokenType::kNormal;
    const bool by_text = !added.is_special && token.is_in_vocab;
    const TokenId id = vocabulary.Add(added.is_special ? added.content : Text(added.content), type,
                                      by_text ? LookupOf(added.content) : Vocabulary::Lookup::kNever);
    model_.special_options[id] = added.options;
  }

  std::string Text(std::string_view spelling) const {
    return steps_.spaces_as_marks() ? SpacesFromMarks(spelling) : std::string(spelling);
  }
  // Once spaces are marks, no text matches a token that is spelled with a space.
  Vocabulary::Lookup LookupOf(std::string_view spelling) const {
    const bool is_never_found = steps_.spaces_as_marks() && spelling.find(' ') != std::string_view::npos;
    return is_never_found ? Vocabulary::Lookup::kNever : Vocabulary::Lookup::kByText;
  }

  Status AddMerges(Vocabulary& vocabulary) const {
    std::string joined;
    for (size_t i = 0; i < json_.merges.size(); ++i) {
      const auto& [left, right] = json_.merges[i];
      joined.assign(left).append(right);
      const auto left_id = ids_.find(left);
      const auto right_id = ids_.find(right);
      const auto merged_id = ids_.find(joined);
      if (left_id == ids_.end() || right_id == ids_.end() || merged_id == ids_.end()) {
        return Corrupt(
            fmt::format(R"(the merge "{}" + "{}" is not two tokens of model.vocab that join to a third)", left, right));
      }
      if (vocabulary.IsControl(merged_id->second)) continue;
      vocabulary.AddMerge(left_id->second, right_id->second, static_cast<int32_t>(i), merged_id->second);
    }
    return {};
  }

  Status SetEncoder() {
    BytePairEncoder::Options options;
    if (IsTrue(model(), "ignore_merges")) options.whole_pieces = BytePairEncoder::WholePieces::kAsTokens;
    if (!steps_.is_byte_level()) options.symbols = BytePairEncoder::Symbols::kCharacters;
    if (IsTrue(model(), "byte_fallback")) options.fallback = BytePairEncoder::Fallback::kBytes;
    if (IsTrue(model(), "fuse_unk")) options.unknown = BytePairEncoder::Unknown::kFused;
    if (!IsNone(model(), "unk_token")) {
      const Json& spelling = model().at("unk_token");
      const auto id = spelling.is_string() ? ids_.find(spelling.get<std::string>()) : ids_.end();
      if (id == ids_.end()) return Corrupt("model.unk_token is no token of model.vocab");
      options.unknown_token = id->second;
    }
    if (steps_.drops_first_space()) model_.leading_spaces = LeadingSpaces::kOneDropped;
    model_.text_encoder = std::make_unique<const TextEncoder>(
        steps_.TakeNormalizer(), steps_.TakePreTokenizer(), std::make_unique<const BytePairEncoder>(*model_.vocabulary, options));
    return {};
  }

  std::optional<TokenId> FindControl(std::string_view content) const {
    const auto added =
        std::find_if(added_.begin(), added_.end(), [&](const AddedToken& token) { return token.content == content; });
    if (added == added_.end() || !added->is_special) return std::nullopt;
    return static_cast<TokenId>(added->id);
  }

  Status SetEnds() {
    model_.ends_at_glm_roles = FindControl("[gMASK]") && FindControl("<sop>") && FindControl("<|user|>");
    const auto processor = json_.rest.find("post_processor");
    return processor == json_.rest.end() || processor->is_null() ? Status() : ReadPostProcessor(*processor);
  }

  Status ReadPostProcessor(const Json& processor) {
    AUTOGLM_TRY(const std::string type, StepType(processor, "post_processor"));
    if (type == "Sequence") {
      return ForEachStep(processor, "processors", [this](const Json& part) { return ReadPostProcessor(part); });
    }
    if (type == "TemplateProcessing") {
      ReadTemplate(processor);
    } else if (type != "ByteLevel") {  // which only moves the places of tokens in the text
      return Unsupported("the post_processor \"" + type + "\"");
    }
    return {};
  }

  // A template that puts one special token before the text adds BOS; [gMASK]<sop>, two, are the chat template's business.
  void ReadTemplate(const Json& processor) {
    const auto single = processor.find("single");
    if (single == processor.end() || !single->is_array() || single->size() < 2) return;
    const Json& first = single->at(0);
    const Json& second = single->at(1);
    if (!first.is_object() || !first.contains("SpecialToken") || !second.is_object() || !second.contains("Sequence")) return;
    const Json& special = first.at("SpecialToken");
    if (!special.is_object() || !special.contains("id") || !special.at("id").is_string()) return;
    model_.bos = FindControl(special.at("id").get<std::string>());
    model_.add_bos = model_.bos.has_value() && !model_.ends_at_glm_roles;
  }

  const TokenizerJson& json_;
  TokenizerJsonSteps steps_;
  std::vector<AddedToken> added_;
  std::vector<PlacedToken> placed_;                    // by id
  std::unordered_map<std::string_view, TokenId> ids_;  // of model.vocab, by spelling
  TokenizerModel model_;
};

}  // namespace

Result<TokenizerModel> BuildTokenizerJson(std::string_view text) {
  AUTOGLM_TRY(const TokenizerJson json, TokenizerJson::Parse(text));
  AUTOGLM_TRY(TokenizerJsonSteps steps, TokenizerJsonSteps::Read(json.rest));
  return Builder(json, std::move(steps)).Build();
}

}  // namespace autoglm
