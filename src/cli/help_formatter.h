#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace autoglm {

// How --help looks: names in a narrow column, texts wrapped beside them, examples last.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_subcommands(const CLI::App* app, CLI::AppFormatMode mode) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

// "serve" for the command itself, "autoglm model info" with its parents.
std::string FullCommandName(const CLI::App& app);

}  // namespace autoglm
