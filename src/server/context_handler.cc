#include "server/context_handler.h"

#include <utility>
#include <variant>

#include "engine/engine.h"
#include "json/fields.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr int64_t kDefaultTtlSeconds = 3600;
constexpr int64_t kMostTtlSeconds = 30 * 86'400;
constexpr int64_t kRetryAfterSeconds = 1;

Json ToJson(const Context& context) {
  return {{"id", context.id},
          {"object", "context"},
          {"model", context.model},
          {"created", context.created_unix_seconds},
          {"expires_at", context.expires_unix_seconds},
          {"ttl", context.ttl_s},
          {"pinned", context.is_pinned},
          {"tokens", std::ssize(context.tokens)}};
}

struct Wishes {
  std::optional<int64_t> ttl_s;
  std::optional<bool> pin;
};

Result<Wishes> ReadWishes(const JsonFields& body) {
  Wishes wishes;
  AUTOGLM_TRY(wishes.ttl_s, body.Integer("ttl"));
  if (wishes.ttl_s && (*wishes.ttl_s < 1 || *wishes.ttl_s > kMostTtlSeconds)) {
    return body.Refuse("ttl", "must be between 1 second and " + std::to_string(kMostTtlSeconds));
  }
  AUTOGLM_TRY(wishes.pin, body.Bool("pin"));
  return wishes;
}

// An empty body wishes nothing.
Result<Wishes> ReadWishes(const std::string& text) {
  if (text.empty()) return Wishes{};
  AUTOGLM_TRY(const Json json, ParseJson(text));
  AUTOGLM_TRY(const JsonFields body, JsonFields::Of(json));
  return ReadWishes(body);
}

Result<Context> ReadContext(const std::string& text) {
  AUTOGLM_TRY(const Json json, ParseJson(text));
  AUTOGLM_TRY(const JsonFields body, JsonFields::Of(json));
  Context context;
  AUTOGLM_TRY(std::optional<std::string> model, body.String("model"));
  context.model = std::move(model).value_or("");
  AUTOGLM_TRY(const Json* messages, body.Array("messages"));
  AUTOGLM_TRY(std::optional<std::string> prompt, body.String("prompt"));
  if ((messages != nullptr) == prompt.has_value()) return body.Refuse("messages", "or prompt must be given, one of them");
  if (messages != nullptr) context.messages = *messages;
  context.prompt = std::move(prompt).value_or("");
  AUTOGLM_TRY(const Wishes wishes, ReadWishes(body));
  context.ttl_s = wishes.ttl_s.value_or(kDefaultTtlSeconds);
  context.is_pinned = wishes.pin.value_or(true);
  return context;
}

// What computes a context: a completion of one token that nobody reads.
Result<ParsedGeneration> ParseFor(const Context& context) {
  Json body = {{"model", context.model}, {"max_tokens", 1}, {"temperature", 0}};
  if (context.messages.is_null()) {
    body["prompt"] = context.prompt;
    return ParseCompletion(DumpJson(body));
  }
  body["messages"] = context.messages;
  return ParseChatCompletion(DumpJson(body));
}

// The answer that computed a context is recorded already.
void SendOnly(const Call& call, http::Response response) {
  call.channel.AddCommonHeaders(response, Clock::Real().Now());
  call.channel.exchange->Send(std::move(response));
}

// Tells whoever waits for the end of an answer, and writes nothing itself unless it fails.
class EndWriter final : public AnswerWriter {
 public:
  EndWriter(std::function<void()> on_complete, std::function<int(const Error&)> on_failure)
      : on_complete_(std::move(on_complete)), on_failure_(std::move(on_failure)) {}

  void CachedTokens(int64_t) override {}
  void Tokens(size_t, std::span<const TokenId>) override {}
  void Text(size_t, std::string_view) override {}
  void Finish(size_t, FinishReason) override {}
  void Flush() override {}
  void Complete(const Usage&) override { on_complete_(); }
  int Fail(const Error& error) override { return on_failure_(error); }
  void KeepAlive() override {}

 private:
  const std::function<void()> on_complete_;
  const std::function<int(const Error&)> on_failure_;
};

}  // namespace

ContextHandler::~ContextHandler() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return num_pending_ == 0; });
}

std::shared_ptr<void> ContextHandler::Pending() {
  const std::lock_guard lock(mutex_);
  ++num_pending_;
  return {this, [](ContextHandler* handler) {
            const std::lock_guard ended(handler->mutex_);
            if (--handler->num_pending_ == 0) handler->idle_.notify_all();
          }};
}

void ContextHandler::Reply(const Call& call, const Result<Context>& context) {
  if (!context) return host_.ReplyError(call, context.error(), kRetryAfterSeconds);
  send_(call, JsonReply(200, DumpJson(ToJson(*context))));
}

void ContextHandler::EraseExpired() {
  for (const Context& context : store_.TakeExpired()) {
    host_.WithLoadedModel(context.model, [context](const ModelRegistry::Lease& engine) { engine->ReleasePrefix(context.id); });
  }
}

void ContextHandler::Create(const Call& call) {
  Result<Context> context = ReadContext(call.request->body);
  if (!context) return Reply(call, context);
  context->id = "ctx-" + ids_.NextHex();
  context->tenant = call.principal->cache_salt;
  Compute(call, *context, true);
}

// Runs it through the model as any request, and holds what that leaves in the cache.
void ContextHandler::Compute(const Call& call, const Context& context, bool is_new) {
  Result<ParsedGeneration> parsed = ParseFor(context);
  if (!parsed) return host_.ReplyError(call, parsed.error(), kRetryAfterSeconds);
  generation_.Handle(
      call, *std::move(parsed), [this, call, context, is_new](const ServedModel& model, const GenerationPlan& plan) {
        Context computed = context;
        computed.model = model.name();
        computed.tokens = plan.prompts.front();
        computed.num_public_tokens = model.ScopeOf(computed.tenant, computed.tokens).num_public_tokens;
        const auto finish = [this, call, computed, is_new, lease = model.lease()](const Status& held) {
          if (!held) return SendOnly(call, ErrorReply(held.error(), kRetryAfterSeconds));
          const Result<Context> kept = is_new ? store_.Add(computed) : store_.Update(computed);
          // One that is not there, or not any more, is nobody's to release later.
          if (!kept && (is_new || kept.error().code == ErrorCode::kNotFound)) lease->ReleasePrefix(computed.id);
          SendOnly(call, kept ? JsonReply(200, DumpJson(ToJson(*kept))) : ErrorReply(kept.error(), kRetryAfterSeconds));
        };
        const auto hold = [lease = model.lease(), computed, finish, pending = Pending()] {
          if (!computed.is_pinned) return finish({});
          lease->HoldPrefix(computed.id, computed.tokens, computed.scope(),
                            [lease, finish, pending](const Result<int64_t>& held) {
                              finish(held ? Status() : tl::unexpected<Error>(held.error()));
                            });
        };
        const auto fail = [call](const Error& error) {
          http::Response response = ErrorReply(error, kRetryAfterSeconds);
          const int status = response.status;
          SendOnly(call, std::move(response));
          return status;
        };
        return std::make_unique<EndWriter>(hold, fail);
      });
}

void ContextHandler::List(const Call& call) {
  Json list = {{"object", "list"}, {"data", Json::array()}};
  for (const Context& context : store_.List(call.principal->cache_salt)) list["data"].push_back(ToJson(context));
  send_(call, JsonReply(200, DumpJson(list)));
}

void ContextHandler::Get(const Call& call, const std::string& id) { Reply(call, store_.Find(id, call.principal->cache_salt)); }

void ContextHandler::Erase(const Call& call, const std::string& id) {
  const Result<Context> context = store_.Remove(id, call.principal->cache_salt);
  if (!context) return Reply(call, context);
  const auto reply = [this, call, id](int64_t num_blocks) {
    send_(call, JsonReply(200, DumpJson({{"id", id}, {"object", "context"}, {"deleted", true}, {"blocks_erased", num_blocks}})));
  };
  const bool is_loaded =
      host_.WithLoadedModel(context->model, [context = *context, reply, pending = Pending()](const ModelRegistry::Lease& engine) {
        engine->ErasePrefix(context.id, context.tokens, context.scope(),
                            [engine, reply, pending](int64_t num_blocks) { reply(num_blocks); });
      });
  if (!is_loaded) reply(0);
}

// Computes it again as the body wishes: itself, or another of the same beginning where it has a new id.
void ContextHandler::Recompute(const Call& call, const std::string& id, const std::string& new_id, std::optional<bool> pin) {
  const Result<Wishes> wishes = ReadWishes(call.request->body);
  Result<Context> context = store_.Use(id, call.principal->cache_salt);
  if (!context || !wishes) return Reply(call, wishes ? context : tl::unexpected<Error>(wishes.error()));
  context->id = new_id;
  context->ttl_s = wishes->ttl_s.value_or(context->ttl_s);
  context->is_pinned = pin.value_or(wishes->pin.value_or(context->is_pinned));
  Compute(call, *context, new_id != id);
}

void ContextHandler::Fork(const Call& call, const std::string& id) { Recompute(call, id, "ctx-" + ids_.NextHex(), std::nullopt); }

void ContextHandler::Pin(const Call& call, const std::string& id) { Recompute(call, id, id, true); }

void ContextHandler::Unpin(const Call& call, const std::string& id) {
  Result<Context> context = store_.Use(id, call.principal->cache_salt);
  if (!context) return Reply(call, context);
  context->is_pinned = false;
  host_.WithLoadedModel(context->model, [id](const ModelRegistry::Lease& engine) { engine->ReleasePrefix(id); });
  Reply(call, store_.Update(*context));
}

void ContextHandler::Save(const Call& call, const std::string& id) {
  const Result<Context> context = store_.Use(id, call.principal->cache_salt);
  if (!context) return Reply(call, context);
  const bool is_loaded = host_.WithLoadedModel(
      context->model, [this, call, context = *context, pending = Pending()](const ModelRegistry::Lease& engine) {
        engine->SavePrefix(context.tokens, context.scope(), [this, call, context, engine, pending](const Status& saved) {
          Reply(call, saved ? Result<Context>(context) : tl::unexpected<Error>(saved.error()));
        });
      });
  if (!is_loaded) Reply(call, Fail(ErrorCode::kUnavailable, "The context's model is not loaded, so nothing of it is in memory."));
}

void ContextHandler::Restore(const Call& call, const std::string& id) {
  const Result<Context> context = store_.Use(id, call.principal->cache_salt);
  if (!context) return Reply(call, context);
  Compute(call, *context, false);
}

Status ContextHandler::GoOnFrom(const std::string& id, uint64_t tenant, ParsedGeneration& parsed) {
  AUTOGLM_TRY(const Context context, store_.Use(id, tenant));
  auto* chat = std::get_if<ChatCompletionRequest>(&parsed.request);
  auto* text = std::get_if<CompletionRequest>(&parsed.request);
  if ((chat != nullptr) == context.messages.is_null()) {
    return Fail(ErrorCode::kInvalidArgument,
                context.messages.is_null() ? "the context is a prompt: go on from it with /v1/completions"
                                           : "the context is a conversation: go on from it with /v1/chat/completions",
                "context");
  }
  std::string& model = chat != nullptr ? chat->params.model : text->params.model;
  if (model.empty()) model = context.model;
  if (chat != nullptr) {
    // Through the parser, which makes of messages what templates expect.
    AUTOGLM_TRY(const ParsedGeneration before, ParseFor(context));
    Json messages = std::get<ChatCompletionRequest>(before.request).messages;
    for (Json& message : chat->messages) messages.push_back(std::move(message));
    chat->messages = std::move(messages);
    return {};
  }
  for (CompletionPrompt& prompt : text->prompts) {
    auto* words = std::get_if<std::string>(&prompt);
    if (words == nullptr) {
      return Fail(ErrorCode::kInvalidArgument, "behind a context the prompt must be text, not token ids", "prompt");
    }
    *words = context.prompt + *words;
  }
  return {};
}

}  // namespace autoglm
