#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "cli/version.h"
#include "kernels/isa.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

struct Outcome {
  int exit_code = 0;
  std::string out, err;
};

Outcome RunCommandLine(const std::vector<std::string>& arguments) {
  std::istringstream in;
  std::ostringstream out, err;
  Console console{.in = in, .out = out, .err = err};
  const int exit_code = RunCommandLine(arguments, console);
  return {exit_code, out.str(), err.str()};
}

void ExpectUsageError(const std::vector<std::string>& arguments, const std::string& message) {
  const Outcome outcome = RunCommandLine(arguments);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "autoglm: " + message + "\n");
  EXPECT_THAT(outcome.out, IsEmpty());
}

TEST(CommandLine, VersionIsOneLine) {
  const Outcome outcome = RunCommandLine({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, MatchesRegex("autoglm [0-9.]+ \\(.*, (scalar|avx2|avx512|avx512bf16|amx)\\)\n"));
  EXPECT_THAT(outcome.out, HasSubstr(std::string(Version())));
}

TEST(CommandLine, EveryCommandHasHelpWithExamples) {
  const std::vector<std::vector<std::string>> commands = {{},
                                                          {"serve"},
                                                          {"chat"},
                                                          {"model"},
                                                          {"model", "info"},
                                                          {"model", "tokenize"},
                                                          {"model", "template"},
                                                          {"model", "logits"},
                                                          {"model", "perplexity"},
                                                          {"keys"},
                                                          {"keys", "create"},
                                                          {"keys", "list"},
                                                          {"keys", "revoke"}};
  for (std::vector<std::string> command : commands) {
    std::string name = "autoglm";
    for (const std::string& word : command) name += " " + word;
    command.push_back("--help");
    const Outcome outcome = RunCommandLine(command);
    EXPECT_EQ(outcome.exit_code, 0) << name;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("Usage: " + name + " "), HasSubstr("\nExamples:\n  autoglm"))) << name;
    EXPECT_THAT(outcome.err, IsEmpty()) << name;
  }
}

TEST(CommandLine, HelpFitsIntoAHundredColumns) {
  for (const char* command : {"serve", "chat"}) {
    std::istringstream help(RunCommandLine({command, "--help"}).out);
    for (std::string line; std::getline(help, line);) EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(CommandLine, NoArgumentsShowTheHelpAsAnError) {
  const Outcome outcome = RunCommandLine({});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("Usage: autoglm COMMAND"));
}

TEST(CommandLine, ArgumentsThatMakeNoSenseExitWith2AndSayWhereHelpIs) {
  ExpectUsageError({"model"}, "a command is required (see autoglm model --help)");
  ExpectUsageError({"dance"}, "unknown command 'dance' (see autoglm --help)");
  ExpectUsageError({"model", "dance", "fast"}, "unknown command 'dance' (see autoglm model --help)");
  ExpectUsageError({"model", "info"}, "MODEL is required (see autoglm model info --help)");
  ExpectUsageError({"serve", "m.gguf", "--port", "many"},
                   "--port: must be a whole number from 0 to 65535, not 'many' (see autoglm serve --help)");
  ExpectUsageError({"chat", "--temperature", "hot"},
                   "--temperature: must be a number from 0 to 2, not 'hot' (see autoglm chat --help)");
  ExpectUsageError({"serve", "m.gguf", "--isa", "mmx"},
                   "--isa: unknown instruction set \"mmx\": use " + IsaChoices() + " (see autoglm serve --help)");
  ExpectUsageError({"model", "logits", "m.gguf", "--tokens", "1,x"},
                   "--tokens: must be token ids such as 1,2,3; 'x' is none (see autoglm model logits --help)");
  ExpectUsageError({"model", "perplexity", "m.gguf"}, "--text is required (see autoglm model perplexity --help)");
}

TEST(CommandLine, UnknownOptionsAreNamed) {
  EXPECT_THAT(RunCommandLine({"serve", "m.gguf", "--prot", "1"}).err, AllOf(StartsWith("autoglm: "), HasSubstr("--prot")));
}

TEST(CommandLine, LogitsWantExactlyOneInput) {
  EXPECT_EQ(RunCommandLine({"model", "logits", "m.gguf"}).exit_code, 2);
  EXPECT_EQ(RunCommandLine({"model", "logits", "m.gguf", "--tokens", "1", "--text", "a"}).exit_code, 2);
}

TEST(CommandLine, WhatFailsExitsWith1AndOneLine) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"serve", "--port", "0"},
                                                                                       {"chat"},
                                                                                       {"model", "info"},
                                                                                       {"model", "tokenize", "--text", "x"},
                                                                                       {"model", "logits", "--tokens", "1"}}) {
    std::vector<std::string> arguments = command;
    arguments.push_back("/nowhere/model.gguf");
    const Outcome outcome = RunCommandLine(arguments);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, AllOf(StartsWith("autoglm: "), HasSubstr("/nowhere/model.gguf")));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1);
  }
}

}  // namespace
}  // namespace autoglm
