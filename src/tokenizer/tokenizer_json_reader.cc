#include "tokenizer/tokenizer_json_reader.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace autoglm {
namespace {

constexpr size_t kDepthMax = 64;
constexpr size_t kMembersMax = 1024;  // of one object of the rest: it is searched linearly for each
constexpr size_t kItemsMax = size_t{1} << 20;

// Receives the parts of the text one after another. Inside model.vocab and model.merges they go to lists, elsewhere to `rest`.
class Handler final : public nlohmann::json_sax<Json> {
 public:
  explicit Handler(TokenizerJson& json) : json_(json) {}

  const Status& status() const { return status_; }

  bool null() override { return Value(nullptr); }
  bool boolean(bool value) override { return Value(value); }
  bool number_integer(number_integer_t value) override { return Number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto kMax = static_cast<number_unsigned_t>(std::numeric_limits<int64_t>::max());
    return value <= kMax ? Number(static_cast<int64_t>(value)) : Value(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return Value(value); }
  bool binary(binary_t& /*value*/) override { return Refuse("binary data"); }
  bool string(string_t& value) override {
    if (list_ == List::kMerges) return MergePart(std::move(value));
    return Value(std::move(value));
  }

  bool start_object(size_t /*size*/) override {
    if (IsAt("vocab")) return StartList(List::kVocab);
    return StartContainer(Json::object());
  }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return End(); }
  bool start_array(size_t /*size*/) override {
    if (IsAt("vocab")) return Fail(ErrorCode::kUnsupported, "model.vocab is a list, as in models of type Unigram; known is BPE");
    if (IsAt("merges")) return StartList(List::kMerges);
    if (list_ == List::kMerges && ++list_depth_ == 2) {
      num_parts_ = 0;
      json_.merges.emplace_back();
      return true;
    }
    return StartContainer(Json::array());
  }
  bool end_array() override {
    if (list_ == List::kMerges && list_depth_ == 2 && num_parts_ != 2) return Refuse("a merge that is not two tokens");
    return End();
  }

  bool parse_error(size_t position, const std::string& /*token*/, const nlohmann::detail::exception& /*error*/) override {
    return Refuse("no valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class List { kNone, kVocab, kMerges };

  bool Fail(ErrorCode code, std::string message) {
    status_ = autoglm::Fail(code, std::move(message));
    return false;
  }
  bool Refuse(const std::string& what) { return Fail(ErrorCode::kCorruptFile, "there is " + what); }

  // Whether the value that begins belongs to this key of the object "model".
  bool IsAt(std::string_view name) const {
    return list_ == List::kNone && open_.size() == 2 && open_keys_[1] == "model" && open_[1]->is_object() && key_ == name;
  }

  bool StartList(List list) {
    list_ = list;
    list_depth_ = 1;
    return true;
  }

  bool Number(int64_t value) {
    if (list_ != List::kVocab) return Value(value);
    json_.vocab.push_back({.spelling = std::move(key_), .id = value});
    return true;
  }

  bool MergePart(std::string text) {
    if (list_depth_ == 2) {
      if (++num_parts_ > 2) return Refuse("a merge of more than two tokens");
      (num_parts_ == 1 ? json_.merges.back().first : json_.merges.back().second) = std::move(text);
      return true;
    }
    const size_t space = text.find(' ');
    if (space == std::string::npos) return Refuse("the merge \"" + text.substr(0, 100) + "\", which is not two tokens");
    json_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    return true;
  }

  // Adds to the innermost open container; nullptr where a limit forbids it.
  Json* Add(Json value) {
    if (list_ != List::kNone) {
      Refuse(list_ == List::kVocab ? "a token in model.vocab whose id is no whole number" : "a merge that is no text");
      return nullptr;
    }
    if (open_.empty()) {
      json_.rest = std::move(value);
      return &json_.rest;
    }
    Json& parent = *open_.back();
    if (parent.size() >= (parent.is_object() ? kMembersMax : kItemsMax)) {
      Refuse("a list that is too long");
      return nullptr;
    }
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool Value(Json value) { return Add(std::move(value)) != nullptr; }

  bool StartContainer(Json empty) {
    if (open_.size() == kDepthMax) return Refuse("nesting deeper than " + std::to_string(kDepthMax) + " levels");
    const bool is_member = !open_.empty() && open_.back()->is_object();
    Json* const container = Add(std::move(empty));
    if (container == nullptr) return false;
    open_.push_back(container);
    open_keys_.push_back(is_member ? key_ : std::string());
    return true;
  }

  bool End() {
    if (list_ != List::kNone) {
      if (--list_depth_ == 0) list_ = List::kNone;
      return true;
    }
    open_.pop_back();
    open_keys_.pop_back();
    return true;
  }

  TokenizerJson& json_;
  Status status_;
  std::vector<Json*> open_;  // the containers of `rest` around this place, outermost first
  std::vector<std::string> open_keys_;
  std::string key_;
  List list_ = List::kNone;
  int list_depth_ = 0;
  int num_parts_ = 0;  // of the merge that is being read
};

}  // namespace

Result<TokenizerJson> TokenizerJson::Parse(std::string_view text) {
  if (text.size() > kBytesMax) {
    return Fail(ErrorCode::kPayloadTooLarge, "tokenizer.json is longer than " + std::to_string(kBytesMax) + " bytes");
  }
  TokenizerJson json;
  Handler handler(json);
  const bool is_complete = Json::sax_parse(text.begin(), text.end(), &handler);
  if (!handler.status()) return Fail(handler.status().error().code, "tokenizer.json: " + handler.status().error().message);
  if (!is_complete || !json.rest.is_object()) return Fail(ErrorCode::kCorruptFile, "tokenizer.json is no JSON object");
  return json;
}

}  // namespace autoglm
