#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/rate_limiter.h"
#include "base/clock.h"
#include "engine/model_registry.h"
#include "server/answer_writer.h"
#include "server/delivery_thread.h"
#include "server/request_outcome.h"
#include "server/text_generation.h"
#include "telemetry/metrics.h"

namespace autoglm {

// One choice of an answer. Choices of the same prompt share its tokens in the usage.
struct AnswerChoice {
  size_t prompt_index = 0;
  TextGeneration generation;
  // In the usage, in place of those found here: as the server counted that began the answer.
  std::optional<int64_t> num_cached_tokens = {};
  std::string text = {};  // so far, where it is kept
};

// The rest of a request's life once the engine has it: takes news of its generations, writes them, and records the end.
class Answer final : public DeliveryJob, public std::enable_shared_from_this<Answer> {
 public:
  struct Parts {
    ModelRegistry::Lease engine;  // keeps the model loaded
    std::vector<AnswerChoice> choices;
    std::unique_ptr<AnswerWriter> writer;
    std::shared_ptr<http::Exchange> exchange;
    RequestOutcome outcome;
    std::optional<Permit> permit = {};  // to be settled
  };
  // The delivery thread, metrics and clock outlive the answer.
  Answer(Parts parts, DeliveryThread& delivery, ServerMetrics& metrics, const Clock& clock);

  State Deliver() override;
  void KeepAlive() override;
  void Abort() override;

  // Any thread: the client has gone, so the work is pointless.
  void OnClientGone();

 private:
  void Attach();
  void TakeNews(size_t choice);
  void RecordFirstToken();
  void RecordStages();
  void RecordText();
  const TextGeneration* FindFailed() const;
  void Fail(const Error& error);
  void Complete();
  void Close(int status);
  Usage CountUsage() const;

  const ModelRegistry::Lease engine_;
  std::vector<AnswerChoice> choices_;
  const std::unique_ptr<AnswerWriter> writer_;
  const std::shared_ptr<http::Exchange> exchange_;
  RequestOutcome outcome_;
  std::optional<SequenceTimes> recorded_;  // of the only choice, as far as its stages are in the record
  std::optional<Permit> permit_;
  DeliveryThread& delivery_;
  ServerMetrics& metrics_;
  ModelMetrics& model_metrics_;
  const Clock& clock_;
  std::atomic<bool> is_client_gone_{false};
  const bool keeps_text_;
  bool is_attached_ = false;
  bool is_done_ = false;
};

}  // namespace autoglm
