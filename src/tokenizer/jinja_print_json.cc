#include <fmt/core.h>

#include <cmath>

#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

void AppendUtf16Escape(std::string& out, uint32_t value) {
  if (value < 0x10000) {
    out += fmt::format("\\u{:04x}", value);
    return;
  }
  const uint32_t offset = value - 0x10000;
  out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
}

std::string_view ShortEscape(uint32_t value) {
  switch (value) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\f':
      return "\\f";
    case '\b':
      return "\\b";
    default:
      return {};
  }
}

class JsonPrinter {
 public:
  JsonPrinter(Runtime& runtime, const JsonOptions& options) : runtime_(runtime), options_(options) {}

  Status Print(const Value& value) {
    AUTOGLM_TRY_VOID(runtime_.budget.Spend(1));
    AUTOGLM_TRY_VOID(CheckStringSize(out_.size()));
    if (const Text* text = value.AsText()) return PrintString(*text);
    if (const Dict* dict = value.AsDict()) return PrintDict(*dict);
    const Sequence* const sequence = value.AsSequence();
    if (sequence != nullptr && (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple)) {
      return PrintList(*sequence);
    }
    if (!value.IsNone() && !value.IsNumber()) {
      return RenderError(fmt::format("Object of type {} is not JSON serializable", value.TypeName()));
    }
    out_ += ScalarText(value);
    return {};
  }

  Result<Text> Take() {
    AUTOGLM_TRY_VOID(CheckStringSize(out_.size()));
    AUTOGLM_TRY_VOID(runtime_.budget.Allocate(out_.size()));
    return Text(std::move(out_), has_context_ ? Origin::kContext : Origin::kTemplate);
  }

 private:
  static std::string ScalarText(const Value& value) {
    if (value.IsNone()) return "null";
    if (value.IsBool()) return value.IsTrue() ? "true" : "false";
    if (value.IsInt()) return std::to_string(*value.AsInt());
    const double number = *value.AsDouble();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return FloatText(number);
  }

  Status PrintString(const Text& text) {
    has_context_ = has_context_ || text.HasContext();
    AUTOGLM_TRY_VOID(runtime_.budget.SpendBytes(text.size() * 4));
    out_ += '"';
    const std::string_view bytes = text.bytes();
    for (size_t at = 0; at < bytes.size();) {
      const CodePoint point = ReadCodePoint(bytes, at);
      const std::string_view short_escape = ShortEscape(point.value);
      const bool is_plain_ascii = point.value >= 0x20 && point.value < 0x7F;
      const bool is_kept =
          is_plain_ascii || (point.value >= 0x7F && !options_.ensure_ascii) || point.value == CodePoint::kInvalid;
      if (!short_escape.empty()) {
        out_ += short_escape;
      } else if (is_kept) {
        out_ += bytes.substr(at, point.num_bytes);
      } else {
        AppendUtf16Escape(out_, point.value);
      }
      at += point.num_bytes;
    }
    out_ += '"';
    return {};
  }

  Status PrintKey(const Value& key) {
    if (const Text* text = key.AsText()) return PrintString(*text);
    if (!key.IsNone() && !key.IsNumber()) return RenderError(fmt::format("a JSON key cannot be {}", key.TypeName()));
    out_ += '"' + ScalarText(key) + '"';
    return {};
  }

  void BreakLine() {
    if (!options_.has_indent) return;
    out_ += '\n';
    for (int i = 0; i < depth_; ++i) out_ += options_.indent;
  }

  void Separate(size_t index) {
    if (index > 0) out_ += options_.item_separator;
    BreakLine();
  }

  Status PrintList(const Sequence& list) {
    if (list.items.empty()) {
      out_ += "[]";
      return {};
    }
    out_ += '[';
    ++depth_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      Separate(i);
      AUTOGLM_TRY_VOID(Print(list.items[i]));
    }
    --depth_;
    BreakLine();
    out_ += ']';
    return {};
  }

  Result<std::vector<size_t>> KeyOrder(const Dict& dict) {
    std::vector<Value> keys;
    keys.reserve(dict.entries.size());
    for (const auto& entry : dict.entries) keys.push_back(entry.first);
    if (options_.sort_keys) return SortedOrder(runtime_, keys);
    std::vector<size_t> order(keys.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
  }

  Status PrintDict(const Dict& dict) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return {};
    }
    AUTOGLM_TRY(const std::vector<size_t> order, KeyOrder(dict));
    out_ += '{';
    ++depth_;
    for (size_t i = 0; i < order.size(); ++i) {
      const auto& [key, value] = dict.entries[order[i]];
      Separate(i);
      AUTOGLM_TRY_VOID(PrintKey(key));
      out_ += options_.key_separator;
      AUTOGLM_TRY_VOID(Print(value));
    }
    --depth_;
    BreakLine();
    out_ += '}';
    return {};
  }

  Runtime& runtime_;
  const JsonOptions& options_;
  std::string out_;
  bool has_context_ = false;
  int depth_ = 0;
};

}  // namespace

Result<Text> PrintJson(Runtime& runtime, const Value& value, const JsonOptions& options) {
  JsonPrinter printer(runtime, options);
  AUTOGLM_TRY_VOID(printer.Print(value));
  return printer.Take();
}

}  // namespace autoglm::jinja
