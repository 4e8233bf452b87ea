#include "tokenizer/normalizer.h"

#include "tokenizer/byte_token.h"
#include "tokenizer/nfc.h"

namespace autoglm {
namespace {

std::string ReplaceAll(std::string_view text, const Normalizer::Replace& replace) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t found = text.find(replace.from);
    result.append(text.substr(0, found));
    if (found == std::string_view::npos) break;
    result.append(replace.to);
    text.remove_prefix(found + replace.from.size());
  }
  return result;
}

}  // namespace

std::string_view Normalizer::Apply(std::string_view text, TextPlace place, std::string& storage) const {
  for (const Step& step : steps_) {
    if (const auto* const replace = std::get_if<Replace>(&step)) {
      if (text.find(replace->from) != std::string_view::npos) text = storage = ReplaceAll(text, *replace);
    } else if (!IsSurelyNfc(text)) {
      text = storage = NormalizeNfc(text);
    }
  }
  if (AddsSpace(text, place)) text = storage = std::string(" ").append(text);
  return text;
}

bool Normalizer::AddsSpace(std::string_view text, TextPlace place) const {
  if (text.empty() || (prefix_.before_space == SpacePrefix::BeforeSpace::kLeaveOut && text[0] == ' ')) return false;
  switch (prefix_.where) {
    case SpacePrefix::Where::kNowhere:
      return false;
    case SpacePrefix::Where::kTextStart:
      return place == TextPlace::kStart;
    case SpacePrefix::Where::kTextStartAndAfterControl:
      return place != TextPlace::kAfterUserDefined;
    case SpacePrefix::Where::kEveryStretch:
      return true;
  }
  return false;
}

Normalizer SentencePieceNormalizer(SpacePrefix prefix) {
  std::vector<Normalizer::Step> steps;
  steps.emplace_back(Normalizer::Replace{.from = std::string(kSpaceMark), .to = " "});
  return {std::move(steps), prefix};
}

}  // namespace autoglm
