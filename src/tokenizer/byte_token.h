#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm {

// How vocabularies of characters, SentencePiece's and their kin, spell what is no character of theirs.

// The byte that "<0xE2>" stands for.
std::optional<uint8_t> ByteFromSpelling(std::string_view spelling);
std::string SpellByte(uint8_t byte);

// Such vocabularies write a space as U+2581. Inside this program both are a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
std::string SpacesFromMarks(std::string_view spelling);

}  // namespace autoglm
