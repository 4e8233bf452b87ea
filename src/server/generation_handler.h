#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "auth/rate_limiter.h"
#include "base/clock.h"
#include "server/answer.h"
#include "server/call.h"
#include "server/degradation.h"
#include "server/delivery_thread.h"
#include "server/generation.h"
#include "server/request_terms.h"
#include "server/served_model.h"
#include "telemetry/metrics.h"
#include "web/ids.h"

namespace autoglm {

struct GenerationOptions {
  Duration ping_interval = std::chrono::seconds(15);  // a stream silent for that long gets an SSE comment
  SloClasses slo_classes = DefaultSloClasses();
  DegradationOptions degradation;
};

// What a handler needs of the server around it.
class GenerationHost {
 public:
  virtual ~GenerationHost() = default;

  // Calls back once, with the model or after the reply has been made to say why there is none, or why this caller may not use it.
  virtual void WithModel(const Call& call, const std::string& name, std::function<void(const ServedModel&)> body) = 0;
  // The model where it is loaded; false, and no call, where it is not.
  virtual bool WithLoadedModel(const std::string& name, std::function<void(const ModelRegistry::Lease&)> body) = 0;
  virtual void ReplyError(const Call& call, const Error& error, int64_t retry_after_seconds) = 0;
  virtual RequestOutcome OutcomeOf(const Call& call) const = 0;
};

// Requests that generate: from the parsed body to an answer that the delivery thread carries on. Checks what the caller may ask
// for, counts it against the caller's limits, gives up what the pressure asks for, and hands it to the engine.
//
// Any thread; everything given outlives it.
class GenerationHandler {
 public:
  GenerationHandler(GenerationOptions options, GenerationHost& host, DeliveryThread& delivery, ServerMetrics& metrics,
                    IdSource& ids, const Clock& clock);

  // How the answer of a plan is written.
  using WriterFactory = std::function<std::unique_ptr<AnswerWriter>(const ServedModel&, const GenerationPlan&)>;
  // Null: as OpenAI's completions.
  void Handle(const Call& call, ParsedGeneration parsed, WriterFactory make_writer = nullptr);

 private:
  // A request on its way through the steps below.
  struct Work {
    Call call;
    ParsedGeneration parsed;
    RequestTerms terms;
    WriterFactory make_writer;
    std::vector<std::string> degraded = {};  // names of steps
    bool has_changed_model = false;          // from the one asked for
  };

  void Generate(std::shared_ptr<Work> work, const ServedModel& model);
  static void RecordQuestion(const Work& work, const std::string& model_name, ActiveRequest& active);
  // The name of the model that answers in place of this one, or empty.
  std::string ReplacementOf(const ServedModel& model, const Work& work, double pressure) const;
  // Whether the client has asked for what it takes to go on with this answer at another server.
  static bool IsResumable(const Work& work, const GenerationPlan& plan);
  Status Limit(Work& work, GenerationPlan& plan, double pressure);
  tl::expected<Permit, Refusal> Permitted(const Work& work, const GenerationPlan& plan, const ServedModel& model);
  void StartAnswer(const Work& work, const ServedModel& served, const GenerationPlan& plan, std::vector<AnswerChoice> choices,
                   Permit permit);
  ResponseHead HeadOf(const ServedModel& served, const GenerationPlan& plan);
  std::unique_ptr<AnswerWriter> MakeWriter(const Work& work, const ServedModel& served, const GenerationPlan& plan);

  const GenerationOptions options_;
  GenerationHost& host_;
  DeliveryThread& delivery_;
  ServerMetrics& metrics_;
  IdSource& ids_;
  const Clock& clock_;
  RateLimiter limiter_;
};

}  // namespace autoglm
