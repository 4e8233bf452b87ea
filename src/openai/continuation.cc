#include "openai/continuation.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace autoglm {
namespace {

constexpr std::string_view kField = "autoglm_continue";
constexpr std::string_view kMembers[] = {"id",    "created",       "seed",          "token_ids", "text_bytes",
                                         "model", "prompt_tokens", "cached_tokens", "max_tokens"};
constexpr size_t kMaxIdBytes = 64;

bool IsIdCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

Status RefuseUnknown(const JsonFields& fields, const Json& members) {
  for (const auto& [name, value] : members.items()) {
    if (std::ranges::count(kMembers, name) == 0) return fields.Refuse(name, "is not known");
  }
  return {};
}

Result<std::string> ReadId(const JsonFields& fields) {
  AUTOGLM_TRY(std::optional<std::string> id, fields.String("id"));
  if (!id) return fields.Refuse("id", "is missing");
  if (id->empty() || id->size() > kMaxIdBytes || !std::ranges::all_of(*id, IsIdCharacter)) {
    return fields.Refuse("id", "must have 1 to " + std::to_string(kMaxIdBytes) + " letters, digits, '-' and '_'");
  }
  return *std::move(id);
}

Result<int64_t> ReadRequired(const JsonFields& fields, std::string_view name, int64_t min) {
  AUTOGLM_TRY(const std::optional<int64_t> number, fields.Integer(name));
  if (!number) return fields.Refuse(name, "is missing");
  if (*number < min) return fields.Refuse(name, "must be at least " + std::to_string(min));
  return *number;
}

Result<std::optional<int64_t>> ReadOptional(const JsonFields& fields, std::string_view name, int64_t min) {
  AUTOGLM_TRY(const std::optional<int64_t> number, fields.Integer(name));
  if (number && *number < min) return fields.Refuse(name, "must be at least " + std::to_string(min));
  return number;
}

Result<std::vector<TokenId>> ReadTokens(const JsonFields& fields) {
  AUTOGLM_TRY(const Json* ids, fields.Array("token_ids"));
  if (ids == nullptr) return fields.Refuse("token_ids", "is missing");
  std::vector<TokenId> tokens;
  tokens.reserve(ids->size());
  for (const Json& id : *ids) {
    const std::optional<int64_t> token = JsonInteger(id);
    if (!token || *token < 0 || *token > std::numeric_limits<TokenId>::max())
      return fields.Refuse("token_ids", "has an entry that is no token id");
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

}  // namespace

std::string StreamOriginJson(const StreamOrigin& origin) {
  Json json = {{"id", origin.id}, {"created", origin.created_unix_seconds}, {"seed", origin.seed}, {"model", origin.model}};
  if (origin.num_prompt_tokens) json["prompt_tokens"] = *origin.num_prompt_tokens;
  if (origin.num_cached_tokens) json["cached_tokens"] = *origin.num_cached_tokens;
  if (origin.max_tokens) json["max_tokens"] = *origin.max_tokens;
  return DumpJson(json);
}

Result<std::optional<Continuation>> ReadContinuation(const JsonFields& body) {
  AUTOGLM_TRY(const Json* members, body.Object(kField));
  if (members == nullptr) return std::nullopt;
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(*members, std::string(kField)));
  AUTOGLM_TRY_VOID(RefuseUnknown(fields, *members));
  Continuation continuation;
  StreamOrigin& origin = continuation.origin;
  AUTOGLM_TRY(origin.id, ReadId(fields));
  AUTOGLM_TRY(origin.created_unix_seconds, ReadRequired(fields, "created", 0));
  AUTOGLM_TRY(origin.seed, ReadRequired(fields, "seed", std::numeric_limits<int64_t>::min()));
  AUTOGLM_TRY(std::optional<std::string> model, fields.String("model"));
  origin.model = std::move(model).value_or("");
  AUTOGLM_TRY(origin.num_prompt_tokens, ReadOptional(fields, "prompt_tokens", 1));
  AUTOGLM_TRY(origin.num_cached_tokens, ReadOptional(fields, "cached_tokens", 0));
  AUTOGLM_TRY(origin.max_tokens, ReadOptional(fields, "max_tokens", 1));
  AUTOGLM_TRY(continuation.token_ids, ReadTokens(fields));
  AUTOGLM_TRY(continuation.text_bytes, ReadRequired(fields, "text_bytes", 0));
  return continuation;
}

}  // namespace autoglm
