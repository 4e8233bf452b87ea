#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// GPT-2 writes each byte of a token as one printable character: the printable bytes of Latin-1 as themselves, the others
// as U+0100 and what follows, in order. Source: bytes_to_unicode in openai/gpt-2, src/encoder.py.

// Appends the bytes that `spelling` stands for. False, and nothing appended, where a character is outside the alphabet.
bool AppendBytesFromAlphabet(std::string_view spelling, std::string& bytes);
// How `bytes` are spelled.
std::string AlphabetFromBytes(std::string_view bytes);

}  // namespace autoglm
