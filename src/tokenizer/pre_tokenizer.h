#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tokenizer/regex.h"

namespace autoglm {

// One way to cut a text at the matches of a pattern.
class Splitter {
 public:
  // What becomes of a match: a piece of its own, nothing, or part of the piece before or after it; kContiguous joins
  // neighbouring matches. Source: SplitDelimiterBehavior of Hugging Face tokenizers.
  enum class Behavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };
  enum class Delimiter { kMatches, kBetweenMatches };  // kBetweenMatches: the pattern describes the pieces

  Splitter(Regex regex, Behavior behavior, Delimiter delimiter)
      : regex_(std::move(regex)), behavior_(behavior), delimiter_(delimiter) {}

  using Sink = std::function<void(std::string_view)>;
  void Split(std::string_view text, const Sink& sink) const;

 private:
  struct Part {
    std::string_view text;
    bool is_delimiter = false;
  };
  template <typename PartSink>
  void ForEachPart(std::string_view text, const PartSink& sink) const;
  std::vector<std::string_view> Join(std::string_view text) const;

  Regex regex_;
  Behavior behavior_;
  Delimiter delimiter_;
};

// Cuts text into the pieces inside which merges happen: each splitter cuts what the one before it left. Immutable.
class PreTokenizer {
 public:
  PreTokenizer() = default;  // leaves text whole
  explicit PreTokenizer(std::vector<Splitter> splitters) : splitters_(std::move(splitters)) {}

  // Calls `sink` with the pieces of `text`, which is valid UTF-8, in order. Linear in its length for the known patterns.
  using Sink = Splitter::Sink;
  void Cut(std::string_view text, const Sink& sink) const { CutFrom(0, text, sink); }

 private:
  void CutFrom(size_t index, std::string_view text, const Sink& sink) const;

  std::vector<Splitter> splitters_;
};

}  // namespace autoglm
