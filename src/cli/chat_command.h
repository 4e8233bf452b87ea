#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "cli/open_model.h"
#include "sampling/sampling_params.h"

namespace CLI {
class App;
}

namespace autoglm {

// Conversation wants less chance than the API's defaults, and an end for models that find none.
inline SamplingParams DefaultChatSampling() {
  SamplingParams sampling;
  sampling.temperature = 0.7f;
  sampling.top_p = 0.95f;
  sampling.max_tokens = 1024;
  return sampling;
}

struct ChatOptions {
  std::string model;  // empty: the default model
  ComputeOptions compute;
  int64_t context = 0;  // tokens; 0: as the engine chooses
  std::string system;
  SamplingParams sampling = DefaultChatSampling();
  bool show_stats = false;
};

// autoglm chat [MODEL]
void AddChatCommand(CLI::App& app, CommandAction& action);
Result<int> RunChat(const ChatOptions& options, Console& console);

}  // namespace autoglm
