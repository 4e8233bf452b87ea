#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_client.h"
#include "hub/model_reference.h"

namespace autoglm {

// Who watches a model being fetched.
struct PullObserver {
  // Bytes of all files of the model together, those that were there before included.
  std::function<void(int64_t done, int64_t total)> progress = [](int64_t, int64_t) {};
  // For people: which file comes now, what is being waited for.
  std::function<void(const std::string&)> notice = [](const std::string&) {};
  // Asked often; true ends the pull.
  std::function<bool()> is_cancelled = [] { return false; };
};

struct StoredModel {
  std::string reference;       // as Pull was asked for it, without a file
  std::filesystem::path path;  // of the GGUF file, or of the folder
  int64_t num_bytes = 0;
};

// Models fetched from hubs, kept in a folder: HUB/ORG/REPO/REVISION/ with the repository's paths below.
//
// A file has its name only when it is complete and its checksum was right; what has come of it before has ".part" behind its
// name, and the next pull goes on there. A model of several files is complete when a list of them (".autoglm.json") has been
// written.
class ModelStore {
 public:
  explicit ModelStore(std::filesystem::path folder, std::chrono::milliseconds first_retry_delay = std::chrono::seconds(1))
      : folder_(std::move(folder)), first_retry_delay_(first_retry_delay) {}

  // Where the model is, if all of it is here. Asks no hub.
  std::optional<std::filesystem::path> Find(const ModelReference& reference) const;
  // Fetches what is missing. Two pulls of one model wait for each other. Errors: as HubClient::ListFiles and ChooseFiles;
  // kUnavailable where the connection fails again and again (the part stays); kCorruptFile where what came has another checksum
  // (the part is removed); kResourceExhausted and kIo for the disk; kCancelled.
  Result<std::filesystem::path> Pull(const ModelReference& reference, HubClient& hub, const PullObserver& observer);

  std::vector<StoredModel> List() const;
  // All of a model, or one file of it. Errors: kNotFound, kIo.
  Status Remove(const ModelReference& reference);

 private:
  Result<std::vector<HubFile>> ListFiles(const ModelReference& reference, HubClient& hub, const PullObserver& observer) const;
  Status FetchFile(const ModelReference& reference, const HubFile& file, HubClient& hub, const PullObserver& observer,
                   int64_t done, int64_t total) const;
  Status DownloadPart(const ModelReference& reference, const HubFile& file, HubClient& hub, const PullObserver& observer,
                      int64_t done, int64_t total) const;
  Status WaitBeforeRetry(int attempt, const PullObserver& observer) const;
  std::filesystem::path PathOf(const ModelReference& reference, const std::string& file) const {
    return folder_ / reference.Folder() / file;
  }

  const std::filesystem::path folder_;
  const std::chrono::milliseconds first_retry_delay_;
};

}  // namespace autoglm
