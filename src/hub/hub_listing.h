#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/model_reference.h"

namespace autoglm {

// A file of a repository, as the hub describes it.
struct HubFile {
  std::string path;
  int64_t num_bytes = 0;
  std::string sha256;    // of the contents, in hex; empty where the hub does not say
  std::string git_sha1;  // of the git blob, in hex; empty where the hub does not say
};

// One page of GET /api/models/{repo}/tree/{revision}?recursive=true of Hugging Face. Errors: kInvalidArgument where it is
// something else, kPayloadTooLarge beyond the limits. Files whose path or size cannot be used are left out: nobody asks for them.
Result<std::vector<HubFile>> ParseHuggingFaceTree(std::string_view json);
// GET /api/v1/models/{repo}/repo/files of ModelScope. Errors: as above; kNotFound and others as the hub reports in the body.
Result<std::vector<HubFile>> ParseModelScopeFiles(std::string_view json);

// What of a repository makes the model: the file that is named; else the tensors in safetensors with everything that reading them
// takes; else its only GGUF file. Errors: kNotFound where there is no such file or no model; kInvalidArgument where there is a
// choice to be made (the message lists it) or the file is one part of several.
Result<std::vector<HubFile>> ChooseFiles(std::span<const HubFile> files, const ModelReference& reference);

}  // namespace autoglm
