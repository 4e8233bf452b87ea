#include "tokenizer/tokenizer_json_steps.h"

#include <array>
#include <cctype>
#include <string>
#include <utility>

#include "json/fields.h"
#include "tokenizer/byte_token.h"
#include "tokenizer/gguf_pre_tokenizer.h"

namespace autoglm {
namespace {

tl::unexpected<Error> Unsupported(const std::string& what) {
  return Fail(ErrorCode::kUnsupported, "tokenizer.json: " + what + " is not supported");
}
tl::unexpected<Error> Corrupt(const std::string& what) { return Fail(ErrorCode::kCorruptFile, "tokenizer.json: " + what); }

std::string StringOr(const Json& object, const char* name, std::string otherwise) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::move(otherwise);
}

bool BoolOr(const Json& object, const char* name, bool otherwise) {
  const auto member = object.find(name);
  return member != object.end() && member->is_boolean() ? member->get<bool>() : otherwise;
}

struct Pattern {
  enum class Kind { kString, kRegex };
  Kind kind = Kind::kString;
  std::string text;
};

Result<Pattern> ReadPattern(const Json& step, const std::string& type) {
  const auto pattern = step.find("pattern");
  if (pattern != step.end() && pattern->is_object()) {
    const std::string text = StringOr(*pattern, "String", {});
    const std::string regex = StringOr(*pattern, "Regex", {});
    if (!text.empty()) return Pattern{Pattern::Kind::kString, text};
    if (!regex.empty()) return Pattern{Pattern::Kind::kRegex, regex};
  }
  return Corrupt("a " + type + " has no pattern");
}

std::string EscapedForRegex(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const bool is_plain = static_cast<uint8_t>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (!is_plain) escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

Result<Splitter::Behavior> ReadBehavior(const std::string& name) {
  using Behavior = Splitter::Behavior;
  constexpr auto kBehaviors = std::to_array<std::pair<std::string_view, Behavior>>({
      {"Isolated", Behavior::kIsolated},
      {"Removed", Behavior::kRemoved},
      {"MergedWithPrevious", Behavior::kMergedWithPrevious},
      {"MergedWithNext", Behavior::kMergedWithNext},
      {"Contiguous", Behavior::kContiguous},
  });
  for (const auto& [known, behavior] : kBehaviors) {
    if (known == name) return behavior;
  }
  return Unsupported("the behavior \"" + name + "\" of a Split");
}

}  // namespace

Result<std::string> StepType(const Json& step, const std::string& role) {
  if (!step.is_object() || !step.contains("type") || !step.at("type").is_string()) return Corrupt("a " + role + " has no type");
  return step.at("type").get<std::string>();
}

Status ForEachStep(const Json& sequence, const char* name, const std::function<Status(const Json&)>& read) {
  const auto steps = sequence.find(name);
  if (steps == sequence.end() || !steps->is_array()) return Corrupt(std::string("a Sequence has no list \"") + name + "\"");
  for (const Json& step : *steps) AUTOGLM_TRY_VOID(read(step));
  return {};
}

Result<TokenizerJsonSteps> TokenizerJsonSteps::Read(const Json& tokenizer) {
  TokenizerJsonSteps steps;
  const auto read = [&](const char* name, Status (TokenizerJsonSteps::*reader)(const Json&)) -> Status {
    const auto step = tokenizer.find(name);
    return step == tokenizer.end() || step->is_null() ? Status() : (steps.*reader)(*step);
  };
  AUTOGLM_TRY_VOID(read("normalizer", &TokenizerJsonSteps::ReadNormalizer));
  AUTOGLM_TRY_VOID(read("pre_tokenizer", &TokenizerJsonSteps::ReadPreTokenizer));
  AUTOGLM_TRY_VOID(read("decoder", &TokenizerJsonSteps::ReadDecoder));
  return steps;
}

Status TokenizerJsonSteps::ReadNormalizer(const Json& step) {
  AUTOGLM_TRY(const std::string type, StepType(step, "normalizer"));
  if (type == "Sequence") return ForEachStep(step, "normalizers", [this](const Json& one) { return ReadNormalizer(one); });
  if (type == "Replace") return ReadReplace(step);
  if (type == "Prepend") return ReadPrepend(step);
  if (type != "NFC") return Unsupported("the normalizer \"" + type + "\"");
  normalizer_steps_.emplace_back(Normalizer::Nfc());
  return {};
}

void TokenizerJsonSteps::MarkSpaces() {
  if (!spaces_as_marks_) normalizer_steps_.emplace_back(Normalizer::Replace{.from = std::string(kSpaceMark), .to = " "});
  spaces_as_marks_ = true;
}

Status TokenizerJsonSteps::ReadReplace(const Json& step) {
  AUTOGLM_TRY(Pattern pattern, ReadPattern(step, "Replace"));
  std::string content = StringOr(step, "content", {});
  if (pattern.kind == Pattern::Kind::kRegex) return Unsupported("the normalizer \"Replace\" with a Regex");
  if (pattern.text == " " && content == kSpaceMark) {
    MarkSpaces();
    return {};
  }
  if (spaces_as_marks_) return Unsupported("the normalizer \"Replace\" after spaces became U+2581");
  normalizer_steps_.emplace_back(Normalizer::Replace{.from = std::move(pattern.text), .to = std::move(content)});
  return {};
}

Status TokenizerJsonSteps::ReadPrepend(const Json& step) {
  const std::string text = StringOr(step, "prepend", {});
  if (text != " " && text != kSpaceMark) return Unsupported("the normalizer \"Prepend\" of \"" + text + "\"");
  prefix_.where = SpacePrefix::Where::kEveryStretch;
  return {};
}

Status TokenizerJsonSteps::ReadPreTokenizer(const Json& step) {
  AUTOGLM_TRY(const std::string type, StepType(step, "pre_tokenizer"));
  if (type == "Sequence") return ForEachStep(step, "pretokenizers", [this](const Json& one) { return ReadPreTokenizer(one); });
  if (is_byte_level_) return Unsupported("the pre_tokenizer \"" + type + "\" after \"ByteLevel\"");
  if (type == "ByteLevel") return ReadByteLevel(step);
  if (type == "Split") return ReadSplit(step);
  if (type == "Digits") return ReadDigits(step);
  if (type == "Metaspace") return ReadMetaspace(step);
  return Unsupported("the pre_tokenizer \"" + type + "\"");
}

Status TokenizerJsonSteps::ReadByteLevel(const Json& step) {
  if (spaces_as_marks_) return Unsupported("the pre_tokenizer \"ByteLevel\" after spaces became U+2581");
  if (BoolOr(step, "add_prefix_space", true)) {
    if (!splitters_.empty()) return Unsupported("the pre_tokenizer \"ByteLevel\" with add_prefix_space after another");
    prefix_ = {.where = SpacePrefix::Where::kEveryStretch, .before_space = SpacePrefix::BeforeSpace::kLeaveOut};
  }
  if (BoolOr(step, "use_regex", true)) splitters_.push_back(Gpt2Splitter());
  is_byte_level_ = true;
  return {};
}

Status TokenizerJsonSteps::ReadDigits(const Json& step) {
  using Behavior = Splitter::Behavior;
  const Behavior behavior = BoolOr(step, "individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous;
  AUTOGLM_TRY(Regex regex, Regex::Compile(R"(\p{N})", Regex::Effort::kUnbounded));
  splitters_.emplace_back(std::move(regex), behavior, Splitter::Delimiter::kMatches);
  return {};
}

Status TokenizerJsonSteps::ReadMetaspace(const Json& step) {
  if (StringOr(step, "replacement", std::string(kSpaceMark)) != kSpaceMark) {
    return Unsupported("the pre_tokenizer \"Metaspace\" with another character than U+2581");
  }
  if (!splitters_.empty()) return Unsupported("the pre_tokenizer \"Metaspace\" after another");
  MarkSpaces();
  const std::string scheme = StringOr(step, "prepend_scheme", BoolOr(step, "add_prefix_space", true) ? "always" : "never");
  if (scheme != "never") {
    prefix_ = {.where = scheme == "first" ? SpacePrefix::Where::kTextStart : SpacePrefix::Where::kEveryStretch,
               .before_space = SpacePrefix::BeforeSpace::kLeaveOut};
  }
  if (!BoolOr(step, "split", true)) return {};
  AUTOGLM_TRY(Regex regex, Regex::Compile("\\ ", Regex::Effort::kUnbounded));
  splitters_.emplace_back(std::move(regex), Splitter::Behavior::kMergedWithNext, Splitter::Delimiter::kMatches);
  return {};
}

Status TokenizerJsonSteps::ReadSplit(const Json& step) {
  AUTOGLM_TRY(const Pattern pattern, ReadPattern(step, "Split"));
  AUTOGLM_TRY(const Splitter::Behavior behavior, ReadBehavior(StringOr(step, "behavior", {})));
  std::string text = pattern.text;
  if (spaces_as_marks_) {
    if (pattern.kind == Pattern::Kind::kRegex) return Unsupported("a Split by a Regex after spaces became U+2581");
    if (text.find(' ') != std::string::npos) return {};  // no text has such a space any more
    text = SpacesFromMarks(text);
  }
  const bool is_bounded = pattern.kind == Pattern::Kind::kRegex && !IsKnownPattern(text);
  const std::string regex_text = pattern.kind == Pattern::Kind::kRegex ? text : EscapedForRegex(text);
  AUTOGLM_TRY(Regex regex, Regex::Compile(regex_text, is_bounded ? Regex::Effort::kBounded : Regex::Effort::kUnbounded));
  const bool is_inverted = BoolOr(step, "invert", false);
  splitters_.emplace_back(std::move(regex), behavior,
                          is_inverted ? Splitter::Delimiter::kBetweenMatches : Splitter::Delimiter::kMatches);
  return {};
}

// Most of a decoder says the same as the other parts; only whether it drops a space is of interest.
Status TokenizerJsonSteps::ReadDecoder(const Json& step) {
  AUTOGLM_TRY(const std::string type, StepType(step, "decoder"));
  if (type == "Sequence") return ForEachStep(step, "decoders", [this](const Json& one) { return ReadDecoder(one); });
  if (type == "ByteLevel" || type == "ByteFallback" || type == "Fuse" || type == "Replace") return {};
  if (type == "Strip") {
    const auto start = step.find("start");
    drops_first_space_ = StringOr(step, "content", {}) == " " && start != step.end() && *start == 1;
    return {};
  }
  if (type != "Metaspace") return Unsupported("the decoder \"" + type + "\"");
  drops_first_space_ = StringOr(step, "prepend_scheme", BoolOr(step, "add_prefix_space", true) ? "always" : "never") != "never";
  return {};
}

}  // namespace autoglm
