#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "engine/model_registry.h"
#include "server/call.h"
#include "server/context_store.h"
#include "server/generation_handler.h"
#include "web/ids.h"

namespace autoglm {

// /v1/contexts: beginnings of conversations and texts with names, which are computed once and gone on from.
//   POST /v1/contexts {model, messages | prompt, ttl, pin}   computes and keeps it
//   GET /v1/contexts · GET /v1/contexts/{id} · DELETE /v1/contexts/{id} (memory and disk)
//   POST /v1/contexts/{id}/fork · /pin · /unpin · /save (to the disk) · /restore (into memory)
// A completion goes on from one by its field "context".
//
// Any thread; everything given outlives it.
class ContextHandler {
 public:
  // Sends an answer and records it.
  using Send = std::function<void(const Call&, http::Response)>;

  ContextHandler(ContextStore& store, GenerationHandler& generation, GenerationHost& host, IdSource& ids, Send send)
      : store_(store), generation_(generation), host_(host), ids_(ids), send_(std::move(send)) {}

  // Waits for what engines still do for it.
  ~ContextHandler();

  // Forgets those that have expired and lets go of what they pinned. To be called now and then.
  void EraseExpired();

  void Create(const Call& call);
  void List(const Call& call);
  void Get(const Call& call, const std::string& id);
  void Erase(const Call& call, const std::string& id);
  void Fork(const Call& call, const std::string& id);
  void Pin(const Call& call, const std::string& id);
  void Unpin(const Call& call, const std::string& id);
  void Save(const Call& call, const std::string& id);
  void Restore(const Call& call, const std::string& id);

  // Puts what the named context holds in front of what is asked. Errors: kNotFound; kInvalidArgument where the one is a
  // conversation and the other a text, or they name different models.
  Status GoOnFrom(const std::string& id, uint64_t tenant, ParsedGeneration& parsed);

 private:
  void Compute(const Call& call, const Context& context, bool is_new);
  void Recompute(const Call& call, const std::string& id, const std::string& new_id, std::optional<bool> pin);
  void Reply(const Call& call, const Result<Context>& context);
  // Something an engine does later and calls back for; done when the last copy goes.
  std::shared_ptr<void> Pending();

  ContextStore& store_;
  GenerationHandler& generation_;
  GenerationHost& host_;
  IdSource& ids_;
  const Send send_;
  std::mutex mutex_;
  std::condition_variable idle_;
  int64_t num_pending_ = 0;
};

}  // namespace autoglm
