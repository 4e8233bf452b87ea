#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Where models come from.
enum class Hub { kHuggingFace, kModelScope };
std::string_view HubPrefix(Hub hub);  // "hf", "ms"

// hf:ORG/REPO[@REVISION][:FILE] or ms:..., as people write it.
struct ModelReference {
  Hub hub = Hub::kHuggingFace;
  std::string organization;
  std::string repository;
  std::string revision;  // a branch, tag or commit; "main" (Hugging Face) or "master" (ModelScope) where none is given
  std::string file;      // path in the repository; empty: the whole model

  // Whether a text is meant as a reference rather than a path.
  static bool Is(std::string_view text);
  // Errors: kInvalidArgument; the message says what a reference looks like.
  static Result<ModelReference> Parse(std::string_view text);

  std::string repo_id() const { return organization + "/" + repository; }
  // The revision is left out where it is the usual one.
  std::string ToString() const;
  // Of the model below the store's folder: "hf/ORG/REPO/REVISION".
  std::filesystem::path Folder() const;
};

// Whether a path that a hub names may be used below a folder: relative, of plain parts, without "." and "..", not hidden.
bool IsSafeRelativePath(std::string_view path);

}  // namespace autoglm
