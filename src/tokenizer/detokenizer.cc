#include "tokenizer/detokenizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace autoglm {
namespace {

std::vector<size_t> Borders(std::string_view stop) {
  std::vector<size_t> borders(stop.size(), 0);
  for (size_t i = 1; i < stop.size(); ++i) {
    size_t border = borders[i - 1];
    while (border > 0 && stop[border] != stop[i]) border = borders[border - 1];
    borders[i] = stop[border] == stop[i] ? border + 1 : 0;
  }
  return borders;
}

}  // namespace

std::string Detokenizer::Push(TokenId token) {
  std::string_view bytes = tokenizer_.TokenBytes(token);
  if (leading_spaces_ != LeadingSpaces::kKept && !bytes.empty()) {
    const size_t num_spaces = std::min(bytes.find_first_not_of(' '), bytes.size());
    const bool drops_all = leading_spaces_ == LeadingSpaces::kAllDropped;
    bytes.remove_prefix(drops_all ? num_spaces : std::min<size_t>(num_spaces, 1));
    if (!drops_all || !bytes.empty()) leading_spaces_ = LeadingSpaces::kKept;
  }
  pending_.append(bytes);
  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const size_t num_valid = ValidUtf8Prefix(rest);
    text.append(rest.substr(0, num_valid));
    rest.remove_prefix(num_valid);
    if (rest.empty()) break;

    const Utf8Sequence broken = ReadUtf8(rest);
    if (broken.kind == Utf8Kind::kIncomplete) break;
    text.append(kReplacementCharacter);
    rest.remove_prefix(broken.num_bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string Detokenizer::Flush() {
  // What is pending is one unfinished character, so one maximal subpart.
  std::string text(pending_.empty() ? std::string_view() : kReplacementCharacter);
  pending_.clear();
  return text;
}

StopMatcher::StopMatcher(std::vector<std::string> stop) {
  for (std::string& one : stop) {
    if (one.empty()) continue;
    auto borders = Borders(one);
    automata_.push_back({.stop = std::move(one), .borders = std::move(borders)});
  }
}

void StopMatcher::Automaton::Push(char byte) {
  while (num_matched > 0 && stop[num_matched] != byte) num_matched = borders[num_matched - 1];
  if (stop[num_matched] == byte) ++num_matched;
}

StopMatcher::Output StopMatcher::Push(std::string_view piece) {
  if (stopped_) return {.text = {}, .stopped = true};
  size_t num_found = 0;  // bytes of the stop string that ends here
  for (size_t i = 0; i < piece.size() && num_found == 0; ++i) {
    held_.push_back(piece[i]);
    for (Automaton& automaton : automata_) {
      automaton.Push(piece[i]);
      if (automaton.Found()) num_found = std::max(num_found, automaton.stop.size());
    }
  }

  if (num_found > 0) {
    stopped_ = true;
    held_.resize(held_.size() - num_found);
    return {.text = Flush(), .stopped = true};
  }
  size_t num_held = 0;
  for (const Automaton& automaton : automata_) num_held = std::max(num_held, automaton.num_matched);
  Output output{.text = held_.substr(0, held_.size() - num_held)};
  held_.erase(0, output.text.size());
  return output;
}

std::string StopMatcher::Flush() {
  std::string text = std::move(held_);
  held_.clear();
  return text;
}

}  // namespace autoglm
