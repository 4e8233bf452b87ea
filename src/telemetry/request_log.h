#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "telemetry/active_request.h"
#include "telemetry/interned_names.h"
#include "telemetry/request_record.h"
#include "telemetry/request_texts.h"

namespace autoglm {

struct RequestLogOptions {
  size_t num_records = 65'536;     // the last ones; memory is taken as they come, about a kilobyte each
  size_t num_kept_records = 4096;  // of requests that failed or broke an objective, beside those
  size_t num_looks = 512;          // of requests that looked at the server itself, which would crowd out the others
  bool keeps_texts = false;        // of prompts and answers, until whoever reads the records has seen them
};

// The records of the last requests, and those being served. Any thread; outlives every ActiveRequest.
class RequestLog {
 public:
  explicit RequestLog(const Clock& clock, const RequestLogOptions& options = {});
  ~RequestLog();
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  std::shared_ptr<ActiveRequest> Begin(const RequestBeginning& beginning);

  // Says of every request, once its answer is known, whether it broke an objective; total_ns is the time until then. To be set
  // before the first Begin.
  using Judge = std::function<bool(const RequestRecord&)>;
  void SetJudge(Judge judge) { judge_ = std::move(judge); }

  using Filter = std::function<bool(const RequestRecord&)>;
  // The newest with this id that `is_wanted` says yes to (null: to all), finished or not. An id that is longer than a record
  // holds is found by its beginning.
  std::optional<RequestRecord> Find(std::string_view id, const Filter& is_wanted = nullptr) const;
  std::vector<RequestRecord> FindTrace(const TraceId& trace) const;

  // Without looks. The newest first, at most `limit`, of those that `is_wanted` says yes to, and of the last `max_looked_at` at
  // most.
  std::vector<RequestRecord> Last(size_t limit, const Filter& is_wanted, size_t max_looked_at = SIZE_MAX) const;
  // Of those that failed or broke an objective.
  std::vector<RequestRecord> LastKept(size_t limit, const Filter& is_wanted) const;
  std::vector<RequestRecord> Active(size_t limit) const;

  // Hands every record but those of looks once to one reader, in order, and forgets nothing; records that were overwritten before
  // are counted. Calls wait for each other.
  void Consume(const std::function<void(const RequestRecord&)>& take);

  int64_t num_finished() const;
  int64_t num_active() const;
  int64_t num_missed() const;  // by Consume

  // Null: they are not kept.
  RequestTexts* texts() { return texts_.get(); }

  InternedNames& names() { return names_; }
  const InternedNames& names() const { return names_; }

 private:
  friend class ActiveRequest;
  class Ring;

  void Add(const RequestRecord& record);
  void Leave(ActiveRequest& request);

  const Clock& clock_;
  Judge judge_;
  InternedNames names_;
  const std::unique_ptr<Ring> ring_;
  const std::unique_ptr<Ring> kept_;
  const std::unique_ptr<Ring> looks_;
  const std::unique_ptr<RequestTexts> texts_;

  mutable std::mutex active_mutex_;  // of the next two
  ActiveRequest* first_active_ = nullptr;
  int64_t num_active_ = 0;

  mutable std::mutex consume_mutex_;  // of the next three
  std::vector<RequestRecord> copies_;
  uint64_t next_consumed_ = 0;
  int64_t num_missed_ = 0;
};

}  // namespace autoglm
