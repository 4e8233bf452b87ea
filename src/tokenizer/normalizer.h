#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace autoglm {

// Where a stretch of ordinary text stands: between which special tokens.
enum class TextPlace { kStart, kAfterControl, kAfterUserDefined };

// Where a space is put before a stretch of text, as SentencePiece's dummy prefix.
struct SpacePrefix {
  enum class Where { kNowhere, kTextStart, kTextStartAndAfterControl, kEveryStretch };
  enum class BeforeSpace { kAdd, kLeaveOut };  // what happens where the text begins with a space of its own
  Where where = Where::kNowhere;
  BeforeSpace before_space = BeforeSpace::kAdd;
};

// What is done to ordinary text before it is cut into pieces. Immutable, so any thread may use it.
class Normalizer {
 public:
  struct Nfc {};
  struct Replace {
    std::string from;  // not empty
    std::string to;
  };
  using Step = std::variant<Nfc, Replace>;

  Normalizer() = default;
  Normalizer(std::vector<Step> steps, SpacePrefix prefix) : steps_(std::move(steps)), prefix_(prefix) {}

  const SpacePrefix& prefix() const { return prefix_; }
  // `text` is valid UTF-8. The result is `text` itself where nothing changes, else lies in `storage`.
  std::string_view Apply(std::string_view text, TextPlace place, std::string& storage) const;

 private:
  bool AddsSpace(std::string_view text, TextPlace place) const;

  std::vector<Step> steps_;
  SpacePrefix prefix_;  // after the steps
};

// What SentencePiece does to text, in the terms of this program: U+2581 stands for a space.
Normalizer SentencePieceNormalizer(SpacePrefix prefix);

}  // namespace autoglm
