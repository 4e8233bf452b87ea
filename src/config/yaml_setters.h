#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "config/values.h"
#include "config/yaml_value.h"

namespace autoglm {

// Setters for tables of YamlField, named by the member that they set: {"port", SetInteger<&Listen::port, 0, 65535>}. Bounds are
// part of the message that refuses a value.

template <typename>
struct MemberPointer;
template <typename C, typename M>
struct MemberPointer<M C::*> {
  using Class = C;
  using Member = M;
};
template <auto kMember>
using ClassOf = typename MemberPointer<decltype(kMember)>::Class;

// Strings and paths.
template <auto kMember>
Status SetText(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(target.*kMember, value.Parse(ParsePlainText));
  return {};
}

// A list of strings, or one.
template <auto kMember>
Status SetTexts(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.PlainItems());
  (target.*kMember).clear();
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(std::string text, item.Parse(ParsePlainText));
    (target.*kMember).push_back(std::move(text));
  }
  return {};
}

template <auto kMember, int64_t kMin, int64_t kMax>
Status SetInteger(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(const int64_t number, value.Parse([](const std::string& text) { return ParseInteger(text, kMin, kMax); }));
  target.*kMember = static_cast<typename MemberPointer<decltype(kMember)>::Member>(number);
  return {};
}

template <auto kMember, double kMin, double kMax>
Status SetReal(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(target.*kMember, value.Parse([](const std::string& text) { return ParseReal(text, kMin, kMax); }));
  return {};
}

// Milliseconds, or a Duration. Bounds in milliseconds.
template <auto kMember, int64_t kMin, int64_t kMax>
Status SetTime(ClassOf<kMember>& target, const YamlValue& value) {
  using std::chrono::milliseconds;
  AUTOGLM_TRY(target.*kMember,
              value.Parse([](const std::string& text) { return ParseDuration(text, milliseconds(kMin), milliseconds(kMax)); }));
  return {};
}

// Bytes, at least one.
template <auto kMember>
Status SetSize(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(target.*kMember, value.Parse([](const std::string& text) -> Result<int64_t> {
    AUTOGLM_TRY(const int64_t bytes, ParseByteSize(text));
    if (bytes < 1) return Fail(ErrorCode::kInvalidArgument, "must be at least one byte");
    return bytes;
  }));
  return {};
}

template <auto kMember>
Status SetSwitch(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(target.*kMember, value.Parse(ParseSwitch));
  return {};
}

// What `kParser` makes of a plain value.
template <auto kMember, auto kParser>
Status SetParsed(ClassOf<kMember>& target, const YamlValue& value) {
  AUTOGLM_TRY(target.*kMember, value.Parse(kParser));
  return {};
}

// A map with a table of its own.
template <auto kMember, const auto& kFields>
Status SetMap(ClassOf<kMember>& target, const YamlValue& value) {
  return ReadFields(value, kFields, target.*kMember);
}

// A setter for what is inside a member.
template <auto kMember, auto kSet>
Status SetIn(ClassOf<kMember>& target, const YamlValue& value) {
  return kSet(target.*kMember, value);
}

// For keys that are read when all others are known.
template <typename T>
Status SetLater(T&, const YamlValue&) {
  return {};
}

template <auto kMember, const auto& kFields, size_t kIndex>
Status SetNth(ClassOf<kMember>& target, const YamlValue& value) {
  return kFields[kIndex].set(target.*kMember, value);
}

// The table of a member, as a part of the table of what it is a member of.
template <auto kMember, const auto& kFields>
constexpr auto FieldsOf() {
  return []<size_t... kIndex>(std::index_sequence<kIndex...>) {
    return std::array{YamlField<ClassOf<kMember>>{kFields[kIndex].key, SetNth<kMember, kFields, kIndex>}...};
  }(std::make_index_sequence<std::size(kFields)>());
}

template <typename T, size_t N, size_t M>
constexpr std::array<YamlField<T>, N + M> Joined(const std::array<YamlField<T>, N>& first,
                                                 const std::array<YamlField<T>, M>& second) {
  std::array<YamlField<T>, N + M> all{};
  for (size_t i = 0; i < N; ++i) all[i] = first[i];
  for (size_t i = 0; i < M; ++i) all[N + i] = second[i];
  return all;
}

}  // namespace autoglm
