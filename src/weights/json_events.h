#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

// Reads a JSON text as a stream of events, for headers with more members than a document of json/json.h may have. Nothing is
// built: a reader keeps what it wants, and knows of a key given twice. Every event that a subclass does not override is an
// error, so a reader states what it allows. Text is taken to be UTF-8 once this has accepted it.
class JsonEvents : public nlohmann::json_sax<Json> {
 public:
  // `what` names the text in messages, such as "the header". Errors: kCorruptFile.
  static Status Read(std::string_view text, std::string_view what, JsonEvents& events);

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("true or false"); }
  bool number_integer(number_integer_t) override { return Unexpected("a number below zero"); }
  bool number_unsigned(number_unsigned_t) override { return Unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override { return Unexpected("a number with a fraction or beyond 64 bits"); }
  bool string(string_t&) override { return Unexpected("a string"); }
  bool binary(binary_t&) override { return Unexpected("binary"); }
  bool start_object(size_t) override { return Unexpected("an object"); }
  bool key(string_t&) override { return Unexpected("a key"); }
  bool end_object() override { return Unexpected("an object's end"); }
  bool start_array(size_t) override { return Unexpected("a list"); }
  bool end_array() override { return Unexpected("a list's end"); }
  bool parse_error(size_t position, const std::string& last_token, const nlohmann::detail::exception& error) override;

 protected:
  // Where the reader is, for messages: "the header" or "tensor 'a.weight'".
  virtual std::string Place() const = 0;

  // Stop the reading with a message; they return false, for the event to return.
  bool Refuse(std::string message);
  bool Unexpected(std::string_view found);

 private:
  std::string message_;
};

}  // namespace autoglm
