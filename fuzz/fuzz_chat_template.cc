// Chat templates: whatever the template and its context are, they are refused with a reason or rendered within the bounds.
// The input is the template, a NUL, and the context as JSON.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "json/json.h"
#include "tokenizer/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  constexpr size_t kOutputBytesMax = 32 << 20;
  const std::string_view input(reinterpret_cast<const char*>(data), num_bytes);
  const size_t split = input.find('\0');
  const auto chat_template = ChatTemplate::Parse(std::string(input.substr(0, split)));
  if (!chat_template) {
    AUTOGLM_CHECK(!chat_template.error().message.empty());
    return 0;
  }

  const std::string_view context_text = split == std::string_view::npos ? "{}" : input.substr(split + 1);
  const Result<Json> context = ParseJson(context_text);
  if (!context) return 0;
  const auto pieces = (*chat_template)->RenderPieces(*context, ChatTemplate::Time{});
  if (!pieces) {
    AUTOGLM_CHECK(!pieces.error().message.empty());
    return 0;
  }
  size_t num_rendered = 0;
  for (size_t i = 0; i < pieces->size(); ++i) {
    AUTOGLM_CHECK(!(*pieces)[i].text.empty());
    AUTOGLM_CHECK(i == 0 || (*pieces)[i].from_context != (*pieces)[i - 1].from_context);
    num_rendered += (*pieces)[i].text.size();
  }
  AUTOGLM_CHECK(num_rendered <= kOutputBytesMax);
  return 0;
}
