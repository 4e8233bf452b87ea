#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "discovery/registration.h"

namespace autoglm::discovery {

// The list behind REST /workers, kept in a file where one is given, so that it is there after a restart. Any thread.
class RegisteredUpstreams {
 public:
  static constexpr size_t kMax = 4096;

  // `file` empty: in memory only. A file that is not there is an empty list. Errors: kIo, kCorruptFile.
  static Result<std::unique_ptr<RegisteredUpstreams>> Open(std::filesystem::path file);

  // Takes the place of an earlier one of the same URL, so a worker may register itself whenever it starts.
  // Errors: kResourceExhausted beyond kMax; as AtomicFile where it cannot be kept, which changes nothing.
  Status Add(Registration registration);
  // By id or URL. Errors: kNotFound; as AtomicFile, which changes nothing.
  Result<Registration> Remove(std::string_view id_or_url);
  Result<Registration> Find(std::string_view id_or_url) const;
  std::vector<Registration> List() const;  // in the order they came

 private:
  explicit RegisteredUpstreams(std::filesystem::path file) : file_(std::move(file)) {}

  Status Read();
  Status Replace(std::vector<Registration> list);  // with the lock

  const std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::vector<Registration> list_;
};

}  // namespace autoglm::discovery
