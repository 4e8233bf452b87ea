#include "cli/help_formatter.h"

#include <gtest/gtest.h>

#include <memory>

#include "cli/parsed_option.h"

namespace autoglm {
namespace {

TEST(HelpFormatter, LaysOutUsageOptionsAndExamples) {
  CLI::App app("Does things.", "tool");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "show this help");
  CLI::App* command = app.add_subcommand("paint", "Paints a wall.");
  std::string wall, color;
  AddTextOption(*command, {"WALL", "", "what to paint"}, wall)->required();
  AddTextOption(*command, {"--a-color-with-a-long-name", "COLOR", "which color"}, color);
  command->footer("Examples:\n  tool paint north");
  EXPECT_EQ(command->help(),
            "Paints a wall.\n"
            "\n"
            "Usage: tool paint WALL [OPTIONS]\n"
            "\n"
            "  WALL                      what to paint\n"
            "\n"
            "Options:\n"
            "  -h,--help                 show this help\n"
            "  --a-color-with-a-long-name COLOR\n"
            "                            which color\n"
            "\n"
            "Examples:\n"
            "  tool paint north\n");
  EXPECT_EQ(app.help(),
            "Does things.\n"
            "\n"
            "Usage: tool COMMAND ...\n"
            "\n"
            "Commands:\n"
            "  paint                     Paints a wall.\n"
            "\n"
            "Options:\n"
            "  -h,--help                 show this help\n");
}

TEST(HelpFormatter, FullCommandNameHasTheParents) {
  CLI::App app("", "tool");
  CLI::App* inner = app.add_subcommand("a", "")->add_subcommand("b", "");
  EXPECT_EQ(FullCommandName(*inner), "tool a b");
}

}  // namespace
}  // namespace autoglm
