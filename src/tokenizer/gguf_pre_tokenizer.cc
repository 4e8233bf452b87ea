#include "tokenizer/gguf_pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"

namespace autoglm {
namespace {

// The published patterns. Every character matches some alternative, and what repeats is one class at a time: no match needs
// more than constant memory, and a piece never costs more than its own length.
constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Every digit is a piece of its own, and GPT-2's pattern cuts what lies between: a digit ends its text as the end does.
constexpr std::string_view kSmolLm = R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+)";
// tiktoken's cl100k: Llama 3 and GLM-4.
constexpr std::string_view kCl100k = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr auto kKinds = std::to_array<GgufPreTokenizer>({
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
  for (const GgufPreTokenizer& kind : kKinds) names.append(names.empty() ? "" : ", ").append(kind.name);
  return names;
}

PreTokenizer FromPattern(std::string_view pattern, Regex::Jit jit) {
  auto regex = Regex::Compile(pattern, Regex::Effort::kUnbounded, jit);
  AUTOGLM_CHECK(regex.has_value());
  std::vector<Splitter> splitters;
  splitters.emplace_back(*std::move(regex), Splitter::Behavior::kIsolated, Splitter::Delimiter::kMatches);
  return PreTokenizer(std::move(splitters));
}

}  // namespace

Result<const GgufPreTokenizer*> GgufPreTokenizer::Find(std::string_view name) {
  const auto* const kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& known) { return known.name == name; });
  if (kind != kKinds.end()) return kind;
  return Fail(ErrorCode::kUnsupported,
              "pre-tokenizer \"" + std::string(name) + "\" (tokenizer.ggml.pre) is not known; known are " + KnownNames());
}

PreTokenizer GgufPreTokenizer::Build(Regex::Jit jit) const { return FromPattern(pattern, jit); }

PreTokenizer Gpt2PreTokenizer() { return FromPattern(kGpt2, Regex::Jit::kWherePossible); }

bool IsKnownPattern(std::string_view pattern) {
  return std::any_of(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.pattern == pattern; });
}

}  // namespace autoglm
