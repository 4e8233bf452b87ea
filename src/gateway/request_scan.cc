#include "gateway/request_scan.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

namespace autoglm::gateway {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr size_t kMaxModelBytes = 256;

// Where a body that has no room behind it, which simdjson wants, is copied to be read. One for each I/O thread.
struct Scratch {
  ondemand::parser parser;
  std::string text;
};

Scratch& ThreadsScratch() {
  thread_local Scratch scratch;
  return scratch;
}

tl::unexpected<Error> Refuse(std::string_view member, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' {}.", member, what), std::string(member));
}

tl::unexpected<Error> NoJson(simdjson::error_code error) {
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("The body is not valid JSON: {}. Send a JSON object.", simdjson::error_message(error)));
}

// The members that are read.
class Reader {
 public:
  static constexpr size_t kNumKnown = 15;

  Reader(const char* text, ScannedRequest& request) : text_(text), request_(request) {}

  Status Read(std::string_view name, ondemand::value value) {
    using Member = Status (Reader::*)(std::string_view, ondemand::value);
    struct Known {
      std::string_view name;
      Member read;
    };
    static constexpr std::array<Known, kNumKnown> kKnown = {{{"model", &Reader::Model},
                                                             {"user", &Reader::User},
                                                             {"stream", &Reader::Stream},
                                                             {"priority", &Reader::Priority},
                                                             {"max_tokens", &Reader::MaxTokens},
                                                             {"max_completion_tokens", &Reader::MaxTokens},
                                                             {"max_output_tokens", &Reader::MaxTokens},
                                                             {"n", &Reader::NumChoices},
                                                             {"best_of", &Reader::NumChoices},
                                                             {"messages", &Reader::Prompt},
                                                             {"prompt", &Reader::Prompt},
                                                             {"input", &Reader::Prompt},
                                                             {"cache_salt", &Reader::Reserved<0>},
                                                             {"autoglm_continue", &Reader::Reserved<1>},
                                                             {"seed", &Reader::Seed}}};
    for (size_t i = 0; i < kKnown.size(); ++i) {
      if (kKnown[i].name != name) continue;
      if (std::exchange(is_read_[i], true)) return Refuse(name, "stands there twice");
      return (this->*kKnown[i].read)(name, value);
    }
    return {};
  }

 private:
  Status Model(std::string_view name, ondemand::value value) {
    std::string_view model;
    AUTOGLM_TRY(request_.model_value, Raw(value));
    if (value.get_string().get(model) != simdjson::SUCCESS) return Refuse(name, "must be a string");
    // Patterns, of prices too, fit no longer ones.
    if (model.size() > kMaxModelBytes) return Refuse(name, fmt::format("must have at most {} bytes", kMaxModelBytes));
    request_.model = std::string(model);
    return {};
  }

  Status User(std::string_view name, ondemand::value value) {
    std::string_view user;
    if (IsNull(value)) return {};
    if (value.get_string().get(user) != simdjson::SUCCESS) return Refuse(name, "must be a string");
    request_.user = std::string(user);
    return {};
  }

  Status Stream(std::string_view name, ondemand::value value) {
    if (IsNull(value)) return {};
    if (value.get_bool().get(request_.is_stream) != simdjson::SUCCESS) return Refuse(name, "must be true or false");
    return {};
  }

  Status Priority(std::string_view name, ondemand::value value) {
    if (IsNull(value)) return {};
    AUTOGLM_TRY(request_.priority, Integer(name, value));
    return {};
  }

  // Servers differ in which of several ways to say it counts: what is granted must cover the largest.
  Status MaxTokens(std::string_view name, ondemand::value value) {
    AUTOGLM_TRY(const JsonSpan span, Raw(value));
    request_.max_tokens_values.push_back(span);
    if (IsNull(value)) return {};
    AUTOGLM_TRY(const int64_t max_tokens, Integer(name, value));
    if (max_tokens < 0) return Refuse(name, "must not be negative");
    request_.max_tokens = std::max(request_.max_tokens.value_or(0), std::min(max_tokens, ScannedRequest::kMostTokens));
    return {};
  }

  Status NumChoices(std::string_view name, ondemand::value value) {
    if (IsNull(value)) return {};
    AUTOGLM_TRY(const int64_t num_choices, Integer(name, value));
    if (num_choices < 1 || num_choices > 1024) return Refuse(name, "must be 1 to 1024");
    request_.num_choices = std::max(request_.num_choices, num_choices);
    return {};
  }

  Status Prompt(std::string_view, ondemand::value value) {
    AUTOGLM_TRY(request_.prompt, Raw(value));
    return {};
  }

  // Read without the bodies' own spelling, which may be escaped.
  template <size_t kIndex>
  Status Reserved(std::string_view, ondemand::value value) {
    static constexpr std::array<std::string_view, 2> kNames = {"cache_salt", "autoglm_continue"};
    if (!IsNull(value)) request_.reserved = kNames[kIndex];
    return {};
  }

  Status Seed(std::string_view, ondemand::value value) {
    request_.has_seed = !IsNull(value);
    return {};
  }

  static bool IsNull(ondemand::value& value) {
    bool is_null = false;
    return value.is_null().get(is_null) == simdjson::SUCCESS && is_null;
  }

  static Result<int64_t> Integer(std::string_view name, ondemand::value& value) {
    int64_t integer = 0;
    if (value.get_int64().get(integer) == simdjson::SUCCESS) return integer;
    double number = 0;
    if (value.get_double().get(number) != simdjson::SUCCESS || std::abs(number) > 9e15 || number != std::floor(number)) {
      return Refuse(name, "must be an integer");
    }
    return static_cast<int64_t>(number);
  }

  Result<JsonSpan> Raw(ondemand::value& value) const {
    ondemand::json_type type{};
    if (const auto error = value.type().get(type); error != simdjson::SUCCESS) return NoJson(error);
    std::string_view raw;
    if (type == ondemand::json_type::object) {
      AUTOGLM_TRY(raw, RawOf<ondemand::object>(value.get_object()));
    } else if (type == ondemand::json_type::array) {
      AUTOGLM_TRY(raw, RawOf<ondemand::array>(value.get_array()));
    } else {
      raw = value.raw_json_token();
      while (!raw.empty() && std::strchr(" \t\r\n", raw.back()) != nullptr) raw.remove_suffix(1);
    }
    return JsonSpan{static_cast<size_t>(raw.data() - text_), raw.size()};
  }

  template <typename Container>
  static Result<std::string_view> RawOf(simdjson::simdjson_result<Container> found) {
    Container container;
    std::string_view raw;
    simdjson::error_code error = std::move(found).get(container);
    if (error == simdjson::SUCCESS) error = container.raw_json().get(raw);
    if (error != simdjson::SUCCESS) return NoJson(error);
    return raw;
  }

  const char* const text_;
  ScannedRequest& request_;
  std::array<bool, kNumKnown> is_read_ = {};
};

}  // namespace

Result<ScannedRequest> ScanRequest(const std::string& body) {
  Scratch& scratch = ThreadsScratch();
  const char* text = body.data();
  size_t capacity = body.capacity();
  if (capacity < body.size() + simdjson::SIMDJSON_PADDING) {
    scratch.text.assign(body).append(simdjson::SIMDJSON_PADDING, '\0');
    text = scratch.text.data();
    capacity = scratch.text.size();
  }

  ondemand::document document;
  ondemand::object object;
  const simdjson::padded_string_view padded(text, body.size(), capacity);
  if (const auto error = scratch.parser.iterate(padded).get(document); error != simdjson::SUCCESS) return NoJson(error);
  if (const auto error = document.get_object().get(object); error != simdjson::SUCCESS) return NoJson(error);

  ScannedRequest request;
  Reader reader(text, request);
  for (auto field : object) {
    std::string_view name;
    ondemand::value value;
    if (const auto error = field.unescaped_key().get(name); error != simdjson::SUCCESS) return NoJson(error);
    if (const auto error = field.value().get(value); error != simdjson::SUCCESS) return NoJson(error);
    AUTOGLM_TRY_VOID(reader.Read(name, value));
  }
  // A second object behind this one may be what the server behind reads.
  const char* behind = nullptr;
  if (document.current_location().get(behind) == simdjson::SUCCESS) return NoJson(simdjson::TRAILING_CONTENT);
  return request;
}

std::string EditBody(std::string_view body, std::vector<BodyEdit> edits) {
  std::ranges::sort(edits, {}, [](const BodyEdit& edit) { return edit.at.begin; });
  std::string out;
  size_t at = 0;
  for (const BodyEdit& edit : edits) {
    out.append(body.substr(at, edit.at.begin - at)).append(edit.text);
    at = edit.at.begin + edit.at.length;
  }
  return out.append(body.substr(at));
}

BodyEdit FirstMembers(std::string_view body, std::string members) {
  const size_t brace = body.find('{');
  const size_t next = body.find_first_not_of(" \t\r\n", brace + 1);
  // An object without members takes no comma.
  if (next != std::string_view::npos && body[next] == '}' && members.ends_with(',')) members.pop_back();
  return {.at = {.begin = brace + 1, .length = 0}, .text = std::move(members)};
}

}  // namespace autoglm::gateway
