#pragma once

#include <string>
#include <vector>

#include "openai/response.h"
#include "server/generation.h"

namespace autoglm {

// What was asked and answered as OpenTelemetry's conventions for generative AI have it (gen_ai.input.messages and
// gen_ai.output.messages, 1.37): JSON lists of messages, which consist of parts. Texts are cut after 8 KiB, and of many
// messages the last 64 KiB are there, so that a span stays of a size that collectors take.

std::string InputMessagesJson(const ParsedGeneration& parsed);

struct ChoiceText {
  std::string text;
  FinishReason finish = FinishReason::kStop;
};
std::string OutputMessagesJson(const std::vector<ChoiceText>& choices);
// `text` is a choice's so far: whether more of it would be cut anyway.
bool IsTextFull(const std::string& text);

}  // namespace autoglm
