#include "hub/hub_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <utility>

#include "json/json.h"

namespace autoglm {
namespace {

constexpr int64_t kFileBytesMax = int64_t{1} << 44;
constexpr JsonLimits kListingLimits{.max_bytes = 64 << 20, .max_depth = 16, .max_members = 256, .max_values = 1 << 20};

std::string StringOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t SizeOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  const bool is_usable = found != object.end() && found->is_number_integer() && *found >= 0 && *found <= kFileBytesMax;
  return is_usable ? found->get<int64_t>() : -1;
}

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string HexOrEmpty(std::string text, size_t digits) { return IsHex(text, digits) ? std::move(text) : std::string(); }

void AddIfUsable(HubFile file, std::vector<HubFile>& files) {
  // A checksum that is none cannot be compared, and must not be taken for absent.
  const bool has_good_checksum = file.sha256.empty() || IsHex(file.sha256, 64);
  if (file.num_bytes >= 0 && has_good_checksum && IsSafeRelativePath(file.path)) files.push_back(std::move(file));
}

bool IsGguf(const HubFile& file) { return file.path.ends_with(".gguf"); }

bool IsSplitPart(std::string_view path) {
  static const std::regex kPart(R"(.*-\d{5}-of-\d{5}\.gguf)");
  return std::regex_match(path.begin(), path.end(), kPart);
}

// What a folder of safetensors needs beside them.
bool IsPartOfFolder(const HubFile& file) {
  if (file.path.find('/') != std::string::npos) return false;
  if (file.path.ends_with(".safetensors")) return file.path.starts_with("model");  // "consolidated" is the same once more
  constexpr std::string_view kNames[] = {"config.json",       "generation_config.json", "model.safetensors.index.json",
                                         "tokenizer.json",    "tokenizer_config.json",  "special_tokens_map.json",
                                         "added_tokens.json", "tokenizer.model",        "vocab.json",
                                         "merges.txt",        "chat_template.jinja",    "chat_template.json"};
  return std::ranges::find(kNames, file.path) != std::end(kNames);
}

std::string Megabytes(int64_t bytes) { return fmt::format("{} MB", (bytes + 500'000) / 1'000'000); }

Result<std::vector<HubFile>> ChooseGguf(std::span<const HubFile> files, const ModelReference& reference) {
  std::vector<HubFile> ggufs;
  std::ranges::copy_if(files, std::back_inserter(ggufs), IsGguf);
  if (ggufs.size() == 1 && !IsSplitPart(ggufs[0].path)) return ggufs;
  if (ggufs.empty()) {
    return Fail(ErrorCode::kNotFound, fmt::format("{} has neither safetensors nor a GGUF file", reference.ToString()));
  }
  std::string choices;
  for (const HubFile& file : ggufs) {
    if (!IsSplitPart(file.path))
      choices += fmt::format("\n  {}:{}  ({})", reference.ToString(), file.path, Megabytes(file.num_bytes));
  }
  if (choices.empty()) return Fail(ErrorCode::kUnsupported, "all its GGUF files are in several parts, which are not supported");
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("{} has several GGUF files, name one of them:{}", reference.ToString(), choices));
}

Result<std::vector<HubFile>> ChooseNamed(std::span<const HubFile> files, const ModelReference& reference) {
  if (IsSplitPart(reference.file)) {
    return Fail(ErrorCode::kUnsupported, fmt::format("{} is one part of several, which are not supported", reference.file));
  }
  const auto found = std::ranges::find(files, reference.file, &HubFile::path);
  if (found == files.end())
    return Fail(ErrorCode::kNotFound, fmt::format("{} has no file {}", reference.repo_id(), reference.file));
  return std::vector<HubFile>{*found};
}

}  // namespace

Result<std::vector<HubFile>> ParseHuggingFaceTree(std::string_view json) {
  AUTOGLM_TRY(const Json tree, ParseJson(json, kListingLimits));
  if (!tree.is_array()) return Fail(ErrorCode::kInvalidArgument, "the hub's answer is not a list of files");
  std::vector<HubFile> files;
  for (const Json& entry : tree) {
    if (!entry.is_object() || StringOf(entry, "type") != "file") continue;
    HubFile file{.path = StringOf(entry, "path"), .num_bytes = SizeOf(entry, "size")};
    const auto lfs = entry.find("lfs");
    if (lfs != entry.end() && lfs->is_object()) {
      // The blob is then only a pointer.
      file.sha256 = LowerCase(StringOf(*lfs, "oid"));
      file.num_bytes = SizeOf(*lfs, "size");
    } else {
      file.git_sha1 = HexOrEmpty(StringOf(entry, "oid"), 40);
    }
    AddIfUsable(std::move(file), files);
  }
  return files;
}

Result<std::vector<HubFile>> ParseModelScopeFiles(std::string_view json) {
  AUTOGLM_TRY(const Json answer, ParseJson(json, kListingLimits));
  if (!answer.is_object()) return Fail(ErrorCode::kInvalidArgument, "the hub's answer is not an object");
  const auto data = answer.find("Data");
  const bool has_files = data != answer.end() && data->is_object() && data->contains("Files") && (*data)["Files"].is_array();
  if (!has_files) {
    const std::string message = StringOf(answer, "Message");
    return Fail(ErrorCode::kNotFound, message.empty() ? "the hub's answer has no list of files" : "the hub says: " + message);
  }
  std::vector<HubFile> files;
  for (const Json& entry : (*data)["Files"]) {
    if (!entry.is_object() || StringOf(entry, "Type") == "tree") continue;
    AddIfUsable({.path = StringOf(entry, "Path"),
                 .num_bytes = SizeOf(entry, "Size"),
                 .sha256 = LowerCase(StringOf(entry, "Sha256")),
                 .git_sha1 = {}},
                files);
  }
  return files;
}

Result<std::vector<HubFile>> ChooseFiles(std::span<const HubFile> files, const ModelReference& reference) {
  if (!reference.file.empty()) return ChooseNamed(files, reference);
  const auto is_tensors = [](const HubFile& file) { return IsPartOfFolder(file) && file.path.ends_with(".safetensors"); };
  if (!std::ranges::any_of(files, is_tensors)) return ChooseGguf(files, reference);
  std::vector<HubFile> chosen;
  std::ranges::copy_if(files, std::back_inserter(chosen), IsPartOfFolder);
  return chosen;
}

}  // namespace autoglm
