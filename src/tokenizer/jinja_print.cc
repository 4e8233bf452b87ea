#include "tokenizer/jinja_print.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

// Python's float.__repr__ writes exponents below 1e-4 and from 1e16 on.
constexpr int kExponentMin = -4;
constexpr int kExponentMax = 16;

std::string FixedText(std::string_view digits, int exponent) {
  std::string out;
  if (exponent < 0) {
    out = "0." + std::string(static_cast<size_t>(-exponent - 1), '0');
    return out.append(digits);
  }
  const auto num_whole = static_cast<size_t>(exponent) + 1;
  out = digits.substr(0, num_whole);
  out.append(num_whole - out.size(), '0');
  out += '.';
  return out.append(digits.size() > num_whole ? digits.substr(num_whole) : "0");
}

class ReprPrinter {
 public:
  explicit ReprPrinter(Runtime& runtime) : runtime_(runtime) {}

  Status Print(const Value& value) {
    AUTOGLM_TRY_VOID(runtime_.budget.Spend(1));
    AUTOGLM_TRY_VOID(CheckStringSize(out_.size()));
    if (value.IsUndefined()) return Append("Undefined");
    if (value.IsNone()) return Append("None");
    if (value.IsBool()) return Append(value.IsTrue() ? "True" : "False");
    if (value.IsInt()) return Append(std::to_string(*value.AsInt()));
    if (value.IsFloat()) return Append(FloatText(*value.AsDouble()));
    if (const Text* text = value.AsText()) {
      has_context_ = has_context_ || text->HasContext();
      AUTOGLM_TRY_VOID(runtime_.budget.SpendBytes(text->size() * 4));
      AppendRepr(out_, text->bytes());
      return {};
    }
    if (const Dict* dict = value.AsDict()) return PrintDict(*dict);
    if (const Sequence* sequence = value.AsSequence()) return PrintSequence(*sequence);
    if (const Namespace* space = value.AsNamespace()) return PrintNamespace(*space);
    if (const Callable* callable = value.AsCallable()) return Append(fmt::format("<function '{}'>", callable->name));
    const LoopState& loop = *value.AsLoop();
    return Append(fmt::format("<LoopContext {}/{}>", loop.index0 + 1, loop.items.size()));
  }

  Result<Text> Take() {
    AUTOGLM_TRY_VOID(CheckStringSize(out_.size()));
    AUTOGLM_TRY_VOID(runtime_.budget.Allocate(out_.size()));
    return Text(std::move(out_), has_context_ ? Origin::kContext : Origin::kTemplate);
  }

 private:
  Status Append(std::string_view text) {
    out_.append(text);
    return {};
  }

  Status PrintItems(const std::vector<Value>& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ", ";
      AUTOGLM_TRY_VOID(Print(items[i]));
    }
    return {};
  }

  Status PrintBetween(std::string_view open, const std::vector<Value>& items, std::string_view close) {
    out_ += open;
    AUTOGLM_TRY_VOID(PrintItems(items));
    return Append(close);
  }

  Status PrintSequence(const Sequence& sequence) {
    switch (sequence.kind) {
      case SequenceKind::kList:
        return PrintBetween("[", sequence.items, "]");
      case SequenceKind::kTuple:
        return PrintBetween("(", sequence.items, sequence.items.size() == 1 ? ",)" : ")");
      case SequenceKind::kRange:
        return Append(sequence.range_text);
      case SequenceKind::kKeys:
        return PrintBetween("dict_keys([", sequence.items, "])");
      case SequenceKind::kValues:
        return PrintBetween("dict_values([", sequence.items, "])");
      case SequenceKind::kItems:
        return PrintBetween("dict_items([", sequence.items, "])");
      case SequenceKind::kGenerator:
        return Append("<generator object>");
    }
    return {};
  }

  Status PrintDict(const Dict& dict) {
    out_ += '{';
    bool is_first = true;
    for (const auto& [key, value] : dict.entries) {
      if (!is_first) out_ += ", ";
      is_first = false;
      AUTOGLM_TRY_VOID(Print(key));
      out_ += ": ";
      AUTOGLM_TRY_VOID(Print(value));
    }
    return Append("}");
  }

  Status PrintNamespace(const Namespace& space) {
    // Namespaces may hold each other in circles.
    if (++num_namespaces_ > kValueDepthMax) return RenderError("namespaces are nested too deeply to be printed");
    out_ += "<Namespace {";
    bool is_first = true;
    for (const auto& [key, value] : space.entries) {
      if (!is_first) out_ += ", ";
      is_first = false;
      AppendRepr(out_, key);
      out_ += ": ";
      AUTOGLM_TRY_VOID(Print(value));
    }
    --num_namespaces_;
    return Append("}>");
  }

  Runtime& runtime_;
  std::string out_;
  bool has_context_ = false;
  int num_namespaces_ = 0;
};

}  // namespace

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";

  char buffer[64];
  const auto end = std::to_chars(std::begin(buffer), std::end(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const std::string sign = text.front() == '-' ? "-" : "";
  text.remove_prefix(sign.size());
  const size_t e = text.find('e');
  std::string digits(text.substr(0, e));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  const std::string_view exponent_text = text.substr(e + 1);
  int exponent = 0;
  const std::string_view exponent_digits = exponent_text.substr(1);
  std::from_chars(exponent_digits.data(), exponent_digits.data() + exponent_digits.size(), exponent);
  if (exponent_text.front() == '-') exponent = -exponent;

  if (exponent >= kExponentMin && exponent < kExponentMax) return sign + FixedText(digits, exponent);
  if (digits.size() > 1) digits.insert(1, ".");
  return sign + digits + 'e' + std::string(exponent_text);
}

void AppendRepr(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text, at);
    const std::string_view bytes = text.substr(at, point.num_bytes);
    at += point.num_bytes;
    if (point.value == static_cast<uint32_t>(quote) || point.value == '\\') {
      out += '\\';
      out += static_cast<char>(point.value);
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\r') {
      out += "\\r";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (point.value == CodePoint::kInvalid || IsPrintable(point.value)) {
      out += bytes;
    } else if (point.value < 0x100) {
      out += fmt::format("\\x{:02x}", point.value);
    } else if (point.value < 0x10000) {
      out += fmt::format("\\u{:04x}", point.value);
    } else {
      out += fmt::format("\\U{:08x}", point.value);
    }
  }
  out += quote;
}

Result<Text> PrintText(Runtime& runtime, const Value& value) {
  if (const Text* text = value.AsText()) {
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text->size()));
    return *text;
  }
  if (value.IsUndefined()) return Text();
  ReprPrinter printer(runtime);
  AUTOGLM_TRY_VOID(printer.Print(value));
  return printer.Take();
}

}  // namespace autoglm::jinja
