#include "hub/model_reference.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm {
namespace {

constexpr size_t kNameBytesMax = 96;
constexpr size_t kPathBytesMax = 1024;

std::string_view UsualRevision(Hub hub) { return hub == Hub::kHuggingFace ? "main" : "master"; }

bool IsPlainCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' && name.front() != '-' &&
         std::ranges::all_of(name, IsPlainCharacter);
}

// Splits off what follows the first `separator`; empty where there is none.
std::string_view TakeAfter(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + 1);
  text = text.substr(0, at);
  return rest;
}

}  // namespace

std::string_view HubPrefix(Hub hub) { return hub == Hub::kHuggingFace ? "hf" : "ms"; }

bool ModelReference::Is(std::string_view text) { return text.starts_with("hf:") || text.starts_with("ms:"); }

Result<ModelReference> ModelReference::Parse(std::string_view text) {
  const auto refuse = [&](std::string_view what) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "'{}': {}; a model is named as hf:ORG/REPO, hf:ORG/REPO:FILE or hf:ORG/REPO@REVISION:FILE (ms: for ModelScope)", text,
            what));
  };
  if (!Is(text)) return refuse("does not begin with hf: or ms:");
  ModelReference reference{.hub = text.starts_with("hf:") ? Hub::kHuggingFace : Hub::kModelScope};
  std::string_view repository = text.substr(3);
  const bool has_file = repository.find(':') != std::string_view::npos;
  const std::string_view file = TakeAfter(repository, ':');
  const bool has_revision = repository.find('@') != std::string_view::npos;
  const std::string_view revision = TakeAfter(repository, '@');
  const std::string_view name = TakeAfter(repository, '/');
  if (!IsName(repository) || !IsName(name)) return refuse("it needs an organisation and a repository");
  if (has_revision && !IsName(revision)) return refuse("the revision must be a plain branch, tag or commit");
  if (has_file && !IsSafeRelativePath(file)) return refuse("the file must be a path inside the repository");
  reference.organization = repository;
  reference.repository = name;
  reference.revision = has_revision ? revision : UsualRevision(reference.hub);
  reference.file = file;
  return reference;
}

std::string ModelReference::ToString() const {
  const std::string at_revision = revision == UsualRevision(hub) ? "" : "@" + revision;
  return fmt::format("{}:{}{}{}", HubPrefix(hub), repo_id(), at_revision, file.empty() ? "" : ":" + file);
}

std::filesystem::path ModelReference::Folder() const {
  return std::filesystem::path(HubPrefix(hub)) / organization / repository / revision;
}

bool IsSafeRelativePath(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) return false;
  while (true) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    const bool is_plain = !part.empty() && part.front() != '.' && std::ranges::all_of(part, [](char c) {
      return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '\\' && c != ':';
    });
    if (!is_plain) return false;
    if (end == path.size()) return true;
    path.remove_prefix(end + 1);
  }
}

}  // namespace autoglm
