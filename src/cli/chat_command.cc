#include "cli/chat_command.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "base/clock.h"
#include "cli/chat_session.h"
#include "cli/line_reader.h"
#include "cli/local_model.h"
#include "cli/parsed_option.h"
#include "cli/text_format.h"
#include "config/values.h"
#include "engine/engine.h"

namespace autoglm {
namespace {

constexpr std::string_view kHelp =
    "  /system TEXT  set the system message and start over\n"
    "  /reset        forget the conversation\n"
    "  /stats        speed of the last answer\n"
    "  /exit         leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer.\n";

// The conversation at the terminal: reads lines, tells commands from messages, prints answers.
class ChatLoop {
 public:
  ChatLoop(Console& console, ChatSession session, SignalWatcher& interrupts, bool show_stats)
      : console_(console), session_(std::move(session)), interrupts_(interrupts), show_stats_(show_stats) {}

  Result<int> Run(LineReader& lines) {
    while (true) {
      console_.out << std::flush;  // line editing writes past this stream
      const LineReader::Line line = lines.Read();
      switch (line.outcome) {
        case LineReader::Outcome::kEnd:
          if (IsInteractive()) console_.out << "\n";
          return 0;
        case LineReader::Outcome::kInterrupted:
          // Nobody is at a keyboard to go on: Ctrl-C ends the whole pipe.
          if (!IsInteractive()) return Fail(ErrorCode::kCancelled, "interrupted");
          console_.out << "\n";
          break;
        case LineReader::Outcome::kLine:
          if (line.text == "/exit" || line.text == "/quit") return 0;
          AUTOGLM_TRY_VOID(Take(line.text));
      }
    }
  }

 private:
  bool IsInteractive() const { return console_.in_is_terminal && console_.out_is_terminal; }

  Status Take(const std::string& text) {
    if (text.find_first_not_of(" \t") == std::string::npos) return {};
    return text.front() == '/' ? Command(text) : Answer(text);
  }

  Status Command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/help") {
      Note(kHelp);
    } else if (name == "/reset") {
      session_.Reset();
      Note("The conversation starts over.\n");
    } else if (name == "/system") {
      session_.SetSystem(rest);
      Note(rest.empty() ? "No system message; the conversation starts over.\n"
                        : "System message set; the conversation starts over.\n");
    } else if (name == "/stats") {
      Note(last_ ? FormatAnswerStats(*last_) + "\n" : "No answer yet.\n");
    } else {
      return Complain(Error{ErrorCode::kInvalidArgument, fmt::format("unknown command {}; /help lists them", name)});
    }
    return {};
  }

  Status Answer(const std::string& text) {
    const auto print = [this](std::string_view piece) {
      console_.out << (console_.out_is_terminal ? StripControlCharacters(piece) : std::string(piece)) << std::flush;
    };
    const Result<AnswerStats> stats = session_.Ask(text, interrupts_, print);
    if (!stats) return Complain(stats.error());

    last_ = *stats;
    console_.out << "\n";
    if (stats->finish == FinishReason::kCancelled) {
      if (!IsInteractive()) return Fail(ErrorCode::kCancelled, "interrupted");
      Note("(stopped)\n");
    }
    if (stats->finish == FinishReason::kLength) Note("(cut off: --max-tokens or the end of the context; /reset starts over)\n");
    if (show_stats_) Note(FormatAnswerStats(*stats) + "\n");
    if (IsInteractive()) console_.out << "\n";
    return {};
  }

  // A person can go on after an error; a script is to notice it.
  Status Complain(Error error) {
    if (!IsInteractive()) return tl::unexpected<Error>(std::move(error));
    if (error.code == ErrorCode::kContextLengthExceeded) error.message += "; /reset starts over";
    console_.err << "autoglm: " << error.message << "\n";
    return {};
  }

  // About the conversation, not part of it: kept out of a pipe that takes the answers.
  void Note(std::string_view text) {
    if (IsInteractive()) {
      console_.out << Dim(console_) << text << ResetStyle(console_) << std::flush;
    } else {
      console_.err << text;
    }
  }

  Console& console_;
  ChatSession session_;
  SignalWatcher& interrupts_;
  const bool show_stats_;
  std::optional<AnswerStats> last_;
};

void AddSamplingOptions(CLI::App& app, SamplingParams& sampling) {
  const auto real = [](double max) {
    return [max](const std::string& text) -> Result<float> {
      AUTOGLM_TRY(const double value, ParseReal(text, 0, max));
      return static_cast<float>(value);
    };
  };
  AddParsedOption<float>(app, {"--temperature", "T", "0 always takes the likeliest token (default: 0.7)"}, sampling.temperature,
                         real(2));
  AddParsedOption<float>(app, {"--top-p", "P", "choose among the likeliest tokens that together have this share (default: 0.95)"},
                         sampling.top_p, real(1));
  AddParsedOption<int64_t>(app, {"--max-tokens", "N", "longest answer (default: 1024)"}, sampling.max_tokens,
                           [](const std::string& text) { return ParseInteger(text, 1, int64_t{1} << 24); });
  AddParsedOption<std::optional<uint64_t>>(app, {"--seed", "N", "the same seed and messages give the same answers"},
                                           sampling.seed, [](const std::string& text) -> Result<std::optional<uint64_t>> {
                                             AUTOGLM_TRY(const int64_t seed, ParseInteger(text, 0, INT64_MAX));
                                             return static_cast<uint64_t>(seed);
                                           });
}

}  // namespace

void AddChatCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("chat", "Talk to a model in the terminal.");
  const auto options = std::make_shared<ChatOptions>();
  AddTextOption(*command,
                {"MODEL", "",
                 "the model, a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE (default: the one that "
                 "./run fetched)"},
                options->model);
  AddTextOption(*command, {"--system", "TEXT", "system message"}, options->system);
  AddSamplingOptions(*command, options->sampling);
  AddFlag(*command, {"--stats", "", "show speed and time to first token after every answer"}, options->show_stats);
  AddParsedOption<int64_t>(*command, {"--context", "TOKENS", "longest conversation (default: auto, the model's)"},
                           options->context, [](const std::string& text) { return ParseIntegerOrAuto(text, int64_t{1} << 24); });
  AddComputeOptions(*command, options->compute);
  command->footer(
      "In the chat, /help lists what can be typed. Lines from a pipe are answered one after another.\n\n"
      "Examples:\n"
      "  autoglm chat\n"
      "  autoglm chat model.gguf --system 'Answer in French.' --temperature 0.2\n"
      "  echo 'What is the capital of France?' | autoglm chat --temperature 0");
  command->callback([options, &action] { action = [options](Console& console) { return RunChat(*options, console); }; });
}

Result<int> RunChat(const ChatOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, options.model.empty() ? FindDefaultModel() : LocalModel(options.model, console));
  ComputeOptions compute = options.compute;
  compute.prepared_cache.use = PreparedCacheUse::kReadAndWrite;  // a chat lasts
  AUTOGLM_TRY(const std::shared_ptr<LoadedModel> model, OpenModel(path, compute));
  EngineOptions engine_options;
  engine_options.num_threads = NumThreads(options.compute.threads);
  engine_options.context_length = options.context;
  engine_options.max_running = 1;
  engine_options.max_waiting = 1;
  AUTOGLM_TRY(const std::unique_ptr<Engine> engine, Engine::Start(model, engine_options, Clock::Real()));

  AUTOGLM_TRY(ChatSession session, ChatSession::Create(*engine, options.sampling));
  session.SetSystem(options.system);
  AUTOGLM_TRY(const std::unique_ptr<SignalWatcher> interrupts, SignalWatcher::Install({SIGINT}));
  AUTOGLM_TRY(const std::unique_ptr<LineReader> lines, LineReader::Create(console, *interrupts));
  if (console.in_is_terminal && console.out_is_terminal) {
    console.out << Bold(console) << model->name() << ResetStyle(console) << Dim(console)
                << fmt::format("  {}, {} threads, {} tokens of context\n", IsaName(options.compute.isa),
                               engine_options.num_threads, engine->context_length())
                << "/help lists commands, Ctrl-D leaves.\n\n"
                << ResetStyle(console) << std::flush;
  }
  ChatLoop loop(console, std::move(session), *interrupts, options.show_stats);
  return loop.Run(*lines);
}

}  // namespace autoglm
