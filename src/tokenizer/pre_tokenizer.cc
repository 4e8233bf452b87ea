#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <optional>

namespace autoglm {
namespace {

std::string_view Span(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

}  // namespace

template <typename PartSink>
void Splitter::ForEachPart(std::string_view text, const PartSink& sink) const {
  RegexSearch search(regex_, text);
  const bool match_is_delimiter = delimiter_ == Delimiter::kMatches;
  size_t position = 0;
  while (const auto match = search.Next()) {
    if (match->begin > position) sink(Part{text.substr(position, match->begin - position), !match_is_delimiter});
    sink(Part{text.substr(match->begin, match->end - match->begin), match_is_delimiter});
    position = match->end;
  }
  if (position < text.size()) sink(Part{text.substr(position), !match_is_delimiter});
}

void Splitter::Split(std::string_view text, const Sink& sink) const {
  if (behavior_ == Behavior::kIsolated) {
    ForEachPart(text, [&](const Part& part) { sink(part.text); });
  } else if (behavior_ == Behavior::kRemoved) {
    ForEachPart(text, [&](const Part& part) {
      if (!part.is_delimiter) sink(part.text);
    });
  } else {
    for (const std::string_view piece : Join(text)) sink(piece);
  }
}

std::vector<std::string_view> Splitter::Join(std::string_view text) const {
  std::vector<Part> parts;
  ForEachPart(text, [&](const Part& part) { parts.push_back(part); });
  const bool backwards = behavior_ == Behavior::kMergedWithNext;
  if (backwards) std::reverse(parts.begin(), parts.end());

  std::vector<std::string_view> pieces;
  bool previous_is_delimiter = false;
  for (const Part& part : parts) {
    const bool joins = behavior_ == Behavior::kContiguous ? part.is_delimiter == previous_is_delimiter
                                                          : part.is_delimiter && !previous_is_delimiter;
    previous_is_delimiter = part.is_delimiter;
    if (!joins || pieces.empty()) {
      pieces.push_back(part.text);
    } else {
      pieces.back() = backwards ? Span(part.text, pieces.back()) : Span(pieces.back(), part.text);
    }
  }
  if (backwards) std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

void PreTokenizer::CutFrom(size_t index, std::string_view text, const Sink& sink) const {
  if (text.empty()) return;
  if (index == splitters_.size()) return sink(text);
  splitters_[index].Split(text, [&](std::string_view piece) { CutFrom(index + 1, piece, sink); });
}

}  // namespace autoglm
