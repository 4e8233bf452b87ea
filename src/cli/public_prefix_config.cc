#include "cli/public_prefix_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/text_file.h"
#include "cli/yaml_fields.h"

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

Status SetText(const YAML::Node& value, std::string& target) {
  AUTOGLM_TRY(target, ScalarValue(value));
  if (target.empty()) return Fail(ErrorCode::kInvalidArgument, "must not be empty");
  return {};
}

Json Message(const std::string& role, const std::string& content) { return {{"role", role}, {"content", content}}; }

// Which roles there are is for CheckPublicPrefix to know.
Result<Json> ReadMessages(const YAML::Node& list, std::string_view file_name) {
  if (!list.IsSequence() || list.size() == 0) return FailAt(file_name, list.Mark(), "messages: must be a list of messages");
  Json messages = Json::array();
  for (const auto& entry : list) {
    std::string role;
    std::string content;
    AUTOGLM_TRY_VOID(ForEachField(entry, file_name, "a message", [&](const std::string& key, const YAML::Node& value) -> Status {
      if (key == "role") return SetText(value, role);
      if (key == "content") return SetText(value, content);
      return Fail(ErrorCode::kInvalidArgument, "unknown key; known are role, content");
    }));
    if (role.empty() || content.empty()) return FailAt(file_name, entry.Mark(), "a message needs 'role' and 'content'");
    messages.push_back(Message(role, content));
  }
  return messages;
}

Status SetField(const std::string& key, const YAML::Node& value, Entry& entry) {
  if (key == "model") return SetText(value, entry.prefix.model);
  if (key == "as") {
    AUTOGLM_TRY(const std::string kind, ScalarValue(value));
    entry.is_system = kind == "system";
    if (entry.is_system || kind == "prompt") return {};
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be system or prompt, not '{}'", kind));
  }
  ++entry.num_sources;
  if (key == "messages") return {};  // read when the rest is known to be well-formed: its errors have places of their own
  if (key == "prompt") return SetText(value, entry.prefix.prompt);
  if (key == "file") return SetText(value, entry.file);
  return Fail(ErrorCode::kInvalidArgument, "unknown key; known are messages, prompt, file, as, model");
}

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

Result<PublicPrefix> ReadPrefix(const YAML::Node& map, std::string_view file_name) {
  Entry entry;
  AUTOGLM_TRY_VOID(ForEachField(map, file_name, "an entry of public_prefixes",
                                [&](const std::string& key, const YAML::Node& value) { return SetField(key, value, entry); }));
  const auto refuse = [&](const char* field, std::string_view what) { return FailAt(file_name, map[field].Mark(), what); };
  if (entry.num_sources != 1) {
    return FailAt(file_name, map.Mark(), "an entry of public_prefixes needs one of 'messages', 'prompt' and 'file'");
  }
  if (map["as"] && entry.file.empty()) return refuse("as", "as: says what a 'file' is, and there is none");
  if (map["messages"]) {
    AUTOGLM_TRY(entry.prefix.messages, ReadMessages(map["messages"], file_name));
  }
  if (!entry.file.empty()) {
    const Status status = ReadFile(std::filesystem::path(file_name).parent_path(), entry);
    if (!status) return refuse("file", fmt::format("file: {}", status.error().message));
  }
  entry.prefix.origin = fmt::format("{}:{}", file_name, map.Mark().line + 1);
  if (const Status status = CheckPublicPrefix(entry.prefix); !status)
    return FailAt(file_name, map.Mark(), status.error().message);
  return std::move(entry.prefix);
}

}  // namespace

Status ApplyPublicPrefixes(const YAML::Node& list, std::string_view file_name, std::vector<PublicPrefix>& prefixes) {
  if (!list.IsSequence()) return FailAt(file_name, list.Mark(), "public_prefixes: must be a list of prefixes");
  if (list.size() > kMostPrefixes) {
    return FailAt(file_name, list.Mark(), fmt::format("public_prefixes: must be at most {}", kMostPrefixes));
  }
  for (const auto& entry : list) {
    AUTOGLM_TRY(PublicPrefix prefix, ReadPrefix(entry, file_name));
    prefixes.push_back(std::move(prefix));
  }
  return {};
}

}  // namespace autoglm
