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

// As SentencePiece does it: a U+2581 of the text is a space at the end only.
std::string WithoutExtraSpaces(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c != ' ' || (!result.empty() && result.back() != ' ')) result.push_back(c);
  }
  while (result.ends_with(' ') || result.ends_with(kSpaceMark)) {
    result.resize(result.size() - (result.back() == ' ' ? 1 : kSpaceMark.size()));
  }
  return result;
}

// Each returns `text` itself or what it wrote to `storage`, where `text` may lie already.
std::string_view ApplyStep(const Normalizer::Nfc& /*step*/, std::string_view text, std::string& storage) {
  return IsSurelyNfc(text) ? text : storage = NormalizeNfc(text);
}
std::string_view ApplyStep(const Normalizer::Replace& step, std::string_view text, std::string& storage) {
  return text.find(step.from) == std::string_view::npos ? text : storage = ReplaceAll(text, step);
}
std::string_view ApplyStep(const Normalizer::Characters& step, std::string_view text, std::string& storage) {
  return storage = step->Apply(text);
}
std::string_view ApplyStep(const Normalizer::RemoveExtraSpaces& /*step*/, std::string_view text, std::string& storage) {
  return storage = WithoutExtraSpaces(text);
}

}  // namespace

std::string_view Normalizer::Apply(std::string_view text, TextPlace place, std::string& storage) const {
  for (const Step& step : steps_) {
    text = std::visit([&](const auto& one) { return ApplyStep(one, text, storage); }, step);
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

Normalizer SentencePieceNormalizer(SpacePrefix prefix, std::vector<Normalizer::Step> more) {
  // Last: a mark that stands in the text itself is no extra space, and the characters' map knows it as itself.
  more.push_back(Normalizer::Replace{.from = std::string(kSpaceMark), .to = " "});
  return {std::move(more), prefix};
}

}  // namespace autoglm
