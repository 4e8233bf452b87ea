#include "tokenizer/tokenizer_model.h"

#include <string>

namespace autoglm {

Result<TokenId> CheckedToken(const Vocabulary& vocabulary, int64_t id, std::string_view what) {
  if (vocabulary.Contains(id)) return static_cast<TokenId>(id);
  return Fail(ErrorCode::kCorruptFile, "the " + std::string(what) + " token is " + std::to_string(id) + ", but there are only " +
                                           std::to_string(vocabulary.size()) + " tokens");
}

}  // namespace autoglm
