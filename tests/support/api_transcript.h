#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/test_paths.h"

// Reads the request transcripts of tests/api. A file is a list of cases, separated by empty lines:
//
//   name: what the case claims
//   body: the request body, on one line; \xNN stands for that byte
//   status: 200, or the status of the error
//   param: the "param" of the error, or "-" for null
//   code: the "code" of the error, or "-" for null
//   says: a part of the error's message
//   parsed: for status 200, fields of the parsed request as a JSON object
//
// Lines that start with "#" are comments.
namespace autoglm {

struct ApiCase {
  std::string name;
  std::string body;
  int status = 0;
  std::string param = "-";
  std::string code = "-";
  std::string says;
  std::string parsed = "{}";
};

// Turns \xNN into bytes and leaves every other backslash alone.
inline std::string UnescapeBytes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\\x" && i + 4 <= text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "chat_requests.txt" -> its cases. A line that is none of the above is a mistake in the file, and throws.
inline std::vector<ApiCase> ReadApiTranscript(std::string_view file) {
  std::ifstream in(SourceDir() / "tests" / "api" / file);
  std::vector<ApiCase> cases;
  bool is_open = false;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) is_open = false;
    if (line.empty() || line.front() == '#') continue;
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) throw std::runtime_error("no 'key: value' line: " + line);
    const std::string key = line.substr(0, colon);
    const std::string value = line.substr(colon + 2);
    if (!is_open) cases.emplace_back();
    is_open = true;
    ApiCase& current = cases.back();
    if (key == "name")
      current.name = value;
    else if (key == "body")
      current.body = UnescapeBytes(value);
    else if (key == "status")
      current.status = std::stoi(value);
    else if (key == "param")
      current.param = value;
    else if (key == "code")
      current.code = value;
    else if (key == "says")
      current.says = value;
    else if (key == "parsed")
      current.parsed = value;
    else
      throw std::runtime_error("unknown key: " + line);
  }
  return cases;
}

}  // namespace autoglm
