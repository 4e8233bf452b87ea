#include "cli/public_prefix_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "base/text_file.h"
#include "config/yaml_value.h"

namespace autoglm {
namespace {

constexpr size_t kMostPrefixes = 64;
constexpr int64_t kMaxPrefixBytes = 16 << 20;

// An entry, as it is written.
struct Entry {
  PublicPrefix prefix;
  std::string file;
  bool is_system = false;   // what stands in the file
  int64_t num_sources = 0;  // of messages, prompt and file
};

Status SetText(const YamlValue& value, std::string& target) {
  AUTOGLM_TRY(target, value.Text());
  return target.empty() ? value.Refuse("must not be empty") : Status();
}

Json Message(const std::string& role, const std::string& content) { return {{"role", role}, {"content", content}}; }

// One of messages.
struct MessageEntry {
  std::string role;
  std::string content;
};

constexpr YamlField<MessageEntry> kMessageFields[] = {
    {"role", [](MessageEntry& message, const YamlValue& value) { return SetText(value, message.role); }},
    {"content", [](MessageEntry& message, const YamlValue& value) { return SetText(value, message.content); }},
};

// Which roles there are is for CheckPublicPrefix to know.
Status SetMessages(Entry& entry, const YamlValue& list) {
  ++entry.num_sources;
  AUTOGLM_TRY(const std::vector<YamlValue> items, list.Items("messages"));
  if (items.empty()) return list.Refuse("must be a list of messages");
  entry.prefix.messages = Json::array();
  for (const YamlValue& item : items) {
    MessageEntry message;
    AUTOGLM_TRY_VOID(ReadFields(item, kMessageFields, message));
    if (message.role.empty() || message.content.empty()) return item.FailHere("a message needs 'role' and 'content'");
    entry.prefix.messages.push_back(Message(message.role, message.content));
  }
  return {};
}

Status SetPrompt(Entry& entry, const YamlValue& value) {
  ++entry.num_sources;
  return SetText(value, entry.prefix.prompt);
}

Status SetFile(Entry& entry, const YamlValue& value) {
  ++entry.num_sources;
  return SetText(value, entry.file);
}

Status SetKind(Entry& entry, const YamlValue& value) {
  AUTOGLM_TRY(const std::string kind, value.Text());
  entry.is_system = kind == "system";
  if (entry.is_system || kind == "prompt") return {};
  return value.Refuse(fmt::format("must be system or prompt, not '{}'", kind));
}

constexpr YamlField<Entry> kFields[] = {
    {"messages", SetMessages},
    {"prompt", SetPrompt},
    {"file", SetFile},
    {"as", SetKind},
    {"model", [](Entry& entry, const YamlValue& value) { return SetText(value, entry.prefix.model); }},
};

Status ReadFile(const std::filesystem::path& folder, Entry& entry) {
  const std::filesystem::path path = folder / entry.file;
  AUTOGLM_TRY(std::string text, ReadTextFile(path, kMaxPrefixBytes));
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is empty", path.string()));
  if (entry.is_system) {
    entry.prefix.messages = Json::array({Message("system", text)});
  } else {
    entry.prefix.prompt = std::move(text);
  }
  return {};
}

Result<PublicPrefix> ReadPrefix(const YamlValue& map, std::string_view file_name) {
  Entry entry;
  AUTOGLM_TRY_VOID(ReadFields(map, kFields, entry));
  if (entry.num_sources != 1) {
    return map.FailHere("an entry of public_prefixes needs one of 'messages', 'prompt' and 'file'");
  }
  const std::optional<YamlValue> kind = map.Find("as");
  if (kind && entry.file.empty()) return kind->Refuse("says what a 'file' is, and there is none");
  if (!entry.file.empty()) {
    const Status status = ReadFile(std::filesystem::path(file_name).parent_path(), entry);
    if (!status) return map.Find("file")->Refuse(status.error().message);
  }
  entry.prefix.origin = fmt::format("{}:{}", file_name, map.line());
  if (const Status status = CheckPublicPrefix(entry.prefix); !status) return map.FailHere(status.error().message);
  return std::move(entry.prefix);
}

}  // namespace

Status ApplyPublicPrefixes(const YamlValue& list, std::string_view file_name, std::vector<PublicPrefix>& prefixes) {
  AUTOGLM_TRY(const std::vector<YamlValue> entries, list.Items("prefixes"));
  if (entries.size() > kMostPrefixes) return list.Refuse(fmt::format("must be at most {}", kMostPrefixes));
  for (const YamlValue& entry : entries) {
    AUTOGLM_TRY(PublicPrefix prefix, ReadPrefix(entry, file_name));
    prefixes.push_back(std::move(prefix));
  }
  return {};
}

}  // namespace autoglm
