#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "cli/console.h"
#include "hub/model_reference.h"
#include "hub/model_store.h"

namespace autoglm {

// Models that were fetched, in CacheFolder().
ModelStore FetchedModels();

// Fetches a model, or what is missing of it, with a progress bar on a terminal and lines elsewhere. Ctrl-C ends it; what has come
// stays. Errors: as ModelStore::Pull.
Result<std::filesystem::path> PullModel(const ModelReference& reference, Console& console);

// A path as it is; a reference ("hf:ORG/REPO:FILE") becomes the path of the model, which is fetched where it is not complete.
// Errors: as ModelReference::Parse and PullModel.
Result<std::filesystem::path> LocalModel(const std::string& path_or_reference, Console& console);

}  // namespace autoglm
