#include "cli/parsed_option.h"

namespace autoglm {

CLI::Option* AddTextOption(CLI::App& app, OptionText text, std::string& target) {
  CLI::Option* option = app.add_option(std::move(text.flag), target, std::move(text.help));
  option->type_name(std::move(text.value));
  return option;
}

CLI::Option* AddFlag(CLI::App& app, OptionText text, bool& target) {
  return app.add_flag(std::move(text.flag), target, std::move(text.help));
}

}  // namespace autoglm
