#include "cli/help_formatter.h"

#include <fmt/format.h>

#include "cli/text_format.h"

namespace autoglm {
namespace {

constexpr int kNameColumns = 28;
constexpr int kHelpColumns = 100;

// "  name      text", the text wrapped under itself; a long name gets a line of its own.
std::string Entry(const std::string& name, const std::string& text) {
  std::string out = fmt::format("  {:<{}}", name, kNameColumns - 2);
  bool is_first = static_cast<int>(name.size()) + 3 <= kNameColumns;
  if (!is_first) out = "  " + name + "\n";
  for (const std::string& line : WrapText(text, kHelpColumns - kNameColumns)) {
    out += (is_first ? "" : std::string(kNameColumns, ' ')) + line + "\n";
    is_first = false;
  }
  return out;
}

}  // namespace

std::string FullCommandName(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : FullCommandName(*parent) + " " + app.get_name();
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string help = app->get_description() + "\n\n" + make_usage(app, std::move(name));
  help += make_positionals(app) + make_subcommands(app, mode) + make_groups(app, mode);
  if (!app->get_footer().empty()) help += "\n" + app->get_footer() + "\n";
  // CLI11 adds an empty line between groups to ours.
  for (size_t at = 0; (at = help.find("\n\n\n", at)) != std::string::npos;) help.erase(at, 1);
  return help;
}

std::string HelpFormatter::make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const {
  std::string text = "\n";
  if (!is_positional) text += group + ":\n";
  for (const CLI::Option* option : options) text += make_option(option, is_positional);
  return text;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string /*name*/) const {
  std::string usage = "Usage: " + FullCommandName(*app);
  const auto has_name = [](const CLI::App* sub) { return !sub->get_name().empty(); };
  if (!app->get_subcommands(has_name).empty()) return usage + " COMMAND ...\n";
  for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    const std::string name = option->get_name(true, false) + (option->get_expected_max() > 1 ? "..." : "");
    usage += option->get_required() ? " " + name : " [" + name + "]";
  }
  return usage + " [OPTIONS]\n";
}

std::string HelpFormatter::make_subcommands(const CLI::App* app, CLI::AppFormatMode /*mode*/) const {
  std::string commands, option_groups;
  for (const CLI::App* sub : app->get_subcommands({})) {
    // CLI11 keeps option groups as commands without a name: their options stand under headings of their own.
    if (sub->get_name().empty()) {
      option_groups += make_groups(sub, CLI::AppFormatMode::Sub);
    } else {
      commands += make_subcommand(sub);
    }
  }
  return (commands.empty() ? "" : "\nCommands:\n" + commands) + option_groups;
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const { return Entry(sub->get_name(), sub->get_description()); }

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = option->get_name(is_positional, !is_positional);
  if (!is_positional && option->get_type_size() != 0) name += " " + option->get_type_name();
  return Entry(name, option->get_description());
}

}  // namespace autoglm
