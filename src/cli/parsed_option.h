#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"

namespace autoglm {

// An option of a command. `value` is the word for its value in the help; `help` says what it does and, where there is one,
// the default.
struct OptionText {
  std::string flag;   // "--threads", or "MODEL" for a positional
  std::string value;  // "N"
  std::string help;
};

// Adds an option whose text goes through `parse` into `target`; a refusal is a usage error with parse's message.
// `target` must outlive the parsing.
template <typename T>
CLI::Option* AddParsedOption(CLI::App& app, OptionText text, T& target, std::function<Result<T>(const std::string&)> parse) {
  CLI::Option* option = app.add_option_function<std::string>(
      std::move(text.flag), [&target, parse](const std::string& given) { target = parse(given).value_or(target); },
      std::move(text.help));
  option->type_name(std::move(text.value));
  option->check([parse](const std::string& given) {
    const Result<T> value = parse(given);
    return value ? std::string() : value.error().message;
  });
  return option;
}

// Adds an option that takes any text.
CLI::Option* AddTextOption(CLI::App& app, OptionText text, std::string& target);
// Adds an option that takes no value.
CLI::Option* AddFlag(CLI::App& app, OptionText text, bool& target);

}  // namespace autoglm
