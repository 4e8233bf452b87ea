#include "discovery/kv_event_batch.h"

#include <xxhash.h>

#include <array>
#include <string>
#include <string_view>

#include "json/fields.h"
#include "json/json.h"

namespace autoglm::discovery {
namespace {

// 512 events of 32 tokens, or a prompt of a million tokens at once.
constexpr JsonLimits kLimits = {.max_bytes = kEventBatchBytesMax, .max_depth = 8, .max_members = 64, .max_values = 1 << 21};

// In the order of the array form.
constexpr std::array<std::string_view, 10> kStoredFields = {
    "type",    "block_hashes", "parent_block_hash", "token_ids",  "block_size",
    "lora_id", "medium",       "lora_name",         "extra_keys", "group_idx"};
constexpr std::array<std::string_view, 4> kRemovedFields = {"type", "block_hashes", "medium", "group_idx"};

tl::unexpected<Error> Refuse(std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, "a batch of KV events has " + std::string(what));
}

// Fields by name, in either form. Null where absent.
class EventFields {
 public:
  EventFields(const Json& event, std::span<const std::string_view> names) : event_(event), names_(names) {}

  const Json& operator[](std::string_view name) const {
    static const Json kNull;
    if (event_.is_object()) {
      const auto found = event_.find(name);
      return found == event_.end() ? kNull : *found;
    }
    for (size_t i = 0; i < names_.size() && i < event_.size(); ++i) {
      if (names_[i] == name) return event_[i];
    }
    return kNull;
  }

 private:
  const Json& event_;
  std::span<const std::string_view> names_;
};

std::string_view KindOf(const Json& event) {
  const Json* kind = nullptr;
  if (event.is_object() && event.contains("type")) kind = &event["type"];
  if (event.is_array() && !event.empty()) kind = &event[0];
  return kind != nullptr && kind->is_string() ? std::string_view(kind->get_ref<const std::string&>()) : std::string_view();
}

// Unsigned, signed (vLLM before 0.10, SGLang), or the bytes of a longer hash.
std::optional<uint64_t> BlockOf(const Json& hash) {
  if (hash.is_number_unsigned()) return hash.get<uint64_t>();
  if (hash.is_number_integer()) return static_cast<uint64_t>(hash.get<int64_t>());
  if (hash.is_binary()) return XXH3_64bits(hash.get_binary().data(), hash.get_binary().size());
  if (hash.is_string()) {
    const auto& text = hash.get_ref<const std::string&>();
    return XXH3_64bits(text.data(), text.size());
  }
  return std::nullopt;
}

Result<std::vector<uint64_t>> BlocksOf(const Json& hashes) {
  if (!hashes.is_array()) return Refuse("block_hashes that are no array");
  std::vector<uint64_t> blocks;
  blocks.reserve(hashes.size());
  for (const Json& hash : hashes) {
    const std::optional<uint64_t> block = BlockOf(hash);
    if (!block) return Refuse("a block hash that is neither a number nor bytes");
    blocks.push_back(*block);
  }
  return blocks;
}

Result<std::vector<TokenId>> TokensOf(const Json& ids) {
  if (!ids.is_array()) return Refuse("token_ids that are no array");
  std::vector<TokenId> tokens;
  tokens.reserve(ids.size());
  for (const Json& id : ids) {
    const std::optional<int64_t> token = JsonInteger(id);
    if (!token) return Refuse("a token id that is no integer");
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

bool IsInMainMemory(const EventFields& fields) {
  const Json& medium = fields["medium"];
  const Json& group = fields["group_idx"];
  return (medium.is_null() || medium == "GPU") && (group.is_null() || group == 0);
}

Result<std::optional<EngineEvent>> StoredOf(const Json& event) {
  const EventFields fields(event, kStoredFields);
  if (!IsInMainMemory(fields) || !fields["lora_id"].is_null() || !fields["lora_name"].is_null()) return std::nullopt;
  EngineEvent stored{.kind = EngineEvent::Kind::kStored};
  AUTOGLM_TRY(stored.blocks, BlocksOf(fields["block_hashes"]));
  AUTOGLM_TRY(stored.tokens, TokensOf(fields["token_ids"]));
  if (const Json& parent = fields["parent_block_hash"]; !parent.is_null()) {
    stored.parent = BlockOf(parent);
    if (!stored.parent) return Refuse("a parent_block_hash that is neither a number nor bytes");
  }
  const std::optional<int64_t> block_size = JsonInteger(fields["block_size"]);
  if (!block_size || *block_size < 1 || *block_size > std::ssize(stored.tokens) ||
      *block_size * std::ssize(stored.blocks) != std::ssize(stored.tokens)) {
    return Refuse("a BlockStored whose tokens do not fill its blocks");
  }
  stored.block_size_tokens = *block_size;
  return stored;
}

Result<std::optional<EngineEvent>> RemovedOf(const Json& event) {
  const EventFields fields(event, kRemovedFields);
  if (!IsInMainMemory(fields)) return std::nullopt;
  EngineEvent removed{.kind = EngineEvent::Kind::kRemoved};
  AUTOGLM_TRY(removed.blocks, BlocksOf(fields["block_hashes"]));
  return removed;
}

Result<std::optional<EngineEvent>> EventOf(const Json& event) {
  const std::string_view kind = KindOf(event);
  if (kind.empty()) return Refuse("an event without a kind");
  if (kind == "BlockStored") return StoredOf(event);
  if (kind == "BlockRemoved") return RemovedOf(event);
  if (kind == "AllBlocksCleared") return EngineEvent{.kind = EngineEvent::Kind::kCleared};
  return std::nullopt;
}

}  // namespace

Result<std::vector<EngineEvent>> ParseEventBatch(std::span<const uint8_t> bytes) {
  AUTOGLM_TRY(const Json batch, ParseMessagePack(bytes, kLimits));
  if (!batch.is_array() || batch.size() < 2 || !batch[1].is_array()) return Refuse("no list of events");
  std::vector<EngineEvent> events;
  for (const Json& item : batch[1]) {
    AUTOGLM_TRY(std::optional<EngineEvent> event, EventOf(item));
    if (event) events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace autoglm::discovery
