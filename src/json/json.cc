#include "json/json.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace autoglm {
namespace {

constexpr size_t kMaxParserMessageBytes = 240;

tl::unexpected<Error> Refuse(std::string message) { return Fail(ErrorCode::kInvalidArgument, std::move(message)); }

// The position behind the string that starts after its quote at `i`, or the text's end.
size_t SkipString(std::string_view text, size_t i) {
  while (i < text.size()) {
    if (text[i] == '"') return i + 1;
    i += text[i] == '\\' ? 2 : 1;
  }
  return text.size();
}

// Counts brackets and commas outside strings. Malformed texts pass: the parser finds them.
class ShapeCheck {
 public:
  explicit ShapeCheck(const JsonLimits& limits) : limits_(limits) {}

  Status Check(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
      const char c = text[i++];
      if (c == '"') {
        i = SkipString(text, i);
      } else if (c == '{' || c == '[') {
        AUTOGLM_TRY_VOID(Open(c));
      } else if (c == '}' || c == ']') {
        if (!open_.empty()) open_.pop_back();
      } else if (c == ',') {
        AUTOGLM_TRY_VOID(Next());
      }
    }
    return {};
  }

 private:
  struct Container {
    bool is_object;
    int64_t num_commas = 0;
  };

  Status Open(char bracket) {
    if (static_cast<int64_t>(open_.size()) == limits_.max_depth) {
      return Refuse("the JSON is nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    }
    open_.push_back({.is_object = bracket == '{'});
    return Count();
  }

  Status Next() {
    if (!open_.empty() && ++open_.back().num_commas >= limits_.max_members && open_.back().is_object) {
      return Refuse("an object of the JSON has more than " + std::to_string(limits_.max_members) + " members");
    }
    return Count();
  }

  Status Count() {
    if (++num_values_ <= limits_.max_values) return {};
    return Refuse("the JSON has more than " + std::to_string(limits_.max_values) + " values");
  }

  const JsonLimits& limits_;
  std::vector<Container> open_;
  int64_t num_values_ = 0;
};

// nlohmann's text without its "[json.exception.parse_error.101] ", and short even where it quotes a long token.
std::string ParserMessage(std::string_view what) {
  if (const size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
  std::string message(what.substr(0, kMaxParserMessageBytes));
  if (message.size() < what.size()) message += "...";
  return message;
}

// Walks a binary document before anything is built from it: the library's own recursion ends where a limit is passed.
class BinaryShapeCheck : public Json::json_sax_t {
 public:
  explicit BinaryShapeCheck(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Count(); }
  bool boolean(bool /*value*/) override { return Count(); }
  bool number_integer(Json::number_integer_t /*value*/) override { return Count(); }
  bool number_unsigned(Json::number_unsigned_t /*value*/) override { return Count(); }
  bool number_float(Json::number_float_t /*value*/, const std::string& /*text*/) override { return Count(); }
  bool string(std::string& /*value*/) override { return Count(); }
  bool binary(Json::binary_t& /*value*/) override { return Count(); }
  bool key(std::string& /*value*/) override { return true; }
  bool start_object(size_t num_members) override {
    return num_members <= static_cast<size_t>(limits_.max_members) ? Open() : Stop("an object has too many members");
  }
  bool start_array(size_t /*num_values*/) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t /*place*/, const std::string& /*token*/, const nlohmann::detail::exception& error) override {
    return Stop(ParserMessage(error.what()));
  }

  const std::string& problem() const { return problem_; }

 private:
  bool Open() { return ++depth_ <= limits_.max_depth ? Count() : Stop("it is nested too deeply"); }
  bool Close() {
    --depth_;
    return true;
  }
  bool Count() { return ++num_values_ <= limits_.max_values || Stop("it has too many values"); }
  bool Stop(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  const JsonLimits& limits_;
  int64_t depth_ = 0;
  int64_t num_values_ = 0;
  std::string problem_;
};

// Length of the valid UTF-8 character at the start of `text`, 0 where there is none. Source: Unicode 15, table 3-7.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto in = [&](size_t i, unsigned low, unsigned high) { return i < text.size() && byte(i) >= low && byte(i) <= high; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;
    return in(1, low, high) && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return in(1, low, high) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

void AppendEscapedAscii(std::string& out, char c) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) {
    out += c;
    return;
  }
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.max_bytes) {
    return Fail(ErrorCode::kPayloadTooLarge, "the JSON is longer than " + std::to_string(limits.max_bytes) + " bytes");
  }
  // The parser takes a NUL byte for the end, and would not see what comes behind it.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Refuse("the JSON is not valid: byte " + std::to_string(nul) + " is NUL; in a string it is written \\u0000");
  }
  AUTOGLM_TRY_VOID(ShapeCheck(limits).Check(text));
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {
    return Refuse("the JSON is not valid: " + ParserMessage(e.what()));
  }
}

Result<Json> ParseMessagePack(std::span<const uint8_t> bytes, const JsonLimits& limits) {
  if (std::ssize(bytes) > limits.max_bytes) {
    return Fail(ErrorCode::kPayloadTooLarge, "the MessagePack is longer than " + std::to_string(limits.max_bytes) + " bytes");
  }
  try {
    BinaryShapeCheck shape(limits);
    if (!Json::sax_parse(bytes.begin(), bytes.end(), &shape, Json::input_format_t::msgpack)) {
      return Refuse("the MessagePack is not valid: " + shape.problem());
    }
    return Json::from_msgpack(bytes.begin(), bytes.end());
  } catch (const Json::exception& e) {
    return Refuse("the MessagePack is not valid: " + ParserMessage(e.what()));
  }
}

std::string DumpJson(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void AppendJsonEscaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 1) {
      AppendEscapedAscii(out, text.front());
    } else if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

}  // namespace autoglm
