// Any tokenizer.json: an error, or a tokenizer that encodes any text to tokens of its own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer_json.h"
#include "tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  UseTokenizer(BuildTokenizerJson({reinterpret_cast<const char*>(data), num_bytes}));
  return 0;
}
