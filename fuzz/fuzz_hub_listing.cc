// What a hub says it has: lists of files, of which none may be used to leave the store.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "hub/hub_listing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace autoglm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& parse : {ParseHuggingFaceTree, ParseModelScopeFiles}) {
    const auto files = parse(text);
    if (!files) continue;
    for (const HubFile& file : *files) {
      AUTOGLM_CHECK(IsSafeRelativePath(file.path) && file.num_bytes >= 0);
      AUTOGLM_CHECK(file.sha256.empty() || file.sha256.size() == 64);
    }
    for (const char* reference : {"hf:a/b", "hf:a/b:model.gguf"}) {
      const auto chosen = ChooseFiles(*files, *ModelReference::Parse(reference));
      AUTOGLM_CHECK(!chosen || chosen->size() <= files->size());
    }
  }
  return 0;
}
