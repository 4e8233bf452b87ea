#include "weights/safetensors_folder.h"

#include <fmt/format.h>

#include <set>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "tensor/mapped_file.h"
#include "weights/json_events.h"
#include "weights/printable_name.h"

namespace autoglm {
namespace {

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::string_view kExtension = ".safetensors";

// A file of the same folder: without a path, so that an index cannot name files elsewhere.
bool IsShardName(std::string_view name) {
  return name.size() > kExtension.size() && name.ends_with(kExtension) &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos && name.find("..") == name.npos;
}

// {"metadata": {...}, "weight_map": {"tensor": "file", ...}}: everything but the weight map is skipped.
class IndexEvents : public JsonEvents {
 public:
  std::map<std::string, std::string, std::less<>> TakeWeightMap() { return std::move(weight_map_); }

  bool null() override { return SkipValue(); }
  bool boolean(bool) override { return SkipValue(); }
  bool number_integer(number_integer_t) override { return SkipValue(); }
  bool number_unsigned(number_unsigned_t) override { return SkipValue(); }
  bool number_float(number_float_t, const string_t&) override { return SkipValue(); }
  bool start_array(size_t) override { return SkipValue() && ++depth_ > 0; }
  bool end_array() override { return --depth_ >= 0; }

  bool start_object(size_t) override {
    if (depth_ == 1 && top_key_ == "weight_map")
      is_in_map_ = true;
    else if (is_in_map_)
      return Unexpected("an object");
    ++depth_;
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1) is_in_map_ = false;
    return true;
  }

  bool key(string_t& key) override {
    if (depth_ == 1) {
      if (!top_keys_.insert(key).second) return Refuse(fmt::format("'{}' appears twice", PrintableName(key)));
      top_key_ = std::move(key);
    } else if (is_in_map_) {
      if (weight_map_.contains(key)) return Refuse(fmt::format("the tensor '{}' appears twice", PrintableName(key)));
      tensor_ = std::move(key);
    }
    return true;
  }

  bool string(string_t& text) override {
    if (!is_in_map_) return SkipValue();
    if (!IsShardName(text)) {
      return Refuse(
          fmt::format("the tensor '{}' is said to be in '{}'; it must be the name of a .safetensors file of this folder",
                      PrintableName(tensor_), PrintableName(text)));
    }
    weight_map_.emplace(std::move(tensor_), std::move(text));
    return true;
  }

 protected:
  std::string Place() const override { return is_in_map_ ? "weight_map" : "the index"; }

 private:
  bool SkipValue() {
    const bool is_outside = depth_ == 0 || is_in_map_ || (depth_ == 1 && top_key_ == "weight_map");
    return is_outside ? Unexpected("another value") : true;
  }

  std::map<std::string, std::string, std::less<>> weight_map_;
  std::set<std::string, std::less<>> top_keys_;
  std::string top_key_;
  std::string tensor_;
  int64_t depth_ = 0;  // of objects and lists; nlohmann reads without recursion
  bool is_in_map_ = false;
};

Result<std::map<std::string, std::string, std::less<>>> ReadWeightMap(const std::filesystem::path& path) {
  AUTOGLM_TRY(const MappedFile index, MappedFile::Open(path));
  if (index.bytes().size() > SafetensorsFolder::kIndexBytesMax) {
    return Fail(ErrorCode::kCorruptFile, fmt::format("{} has {} bytes; at most {} are allowed", path.string(),
                                                     index.bytes().size(), SafetensorsFolder::kIndexBytesMax));
  }
  IndexEvents events;
  const auto* text = reinterpret_cast<const char*>(index.bytes().data());
  if (const Status read = JsonEvents::Read({text, index.bytes().size()}, "the index", events); !read) {
    return Fail(read.error().code, path.string() + ": " + read.error().message);
  }
  auto weight_map = events.TakeWeightMap();
  if (weight_map.empty()) return Fail(ErrorCode::kCorruptFile, path.string() + ": there is no weight_map, or an empty one");
  return weight_map;
}

}  // namespace

Result<std::unique_ptr<SafetensorsFolder>> SafetensorsFolder::Open(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    const bool is_missing = !std::filesystem::exists(folder, error);
    return Fail(is_missing ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                folder.string() + (is_missing ? " does not exist" : " is not a folder"));
  }
  std::unique_ptr<SafetensorsFolder> source(new SafetensorsFolder);
  source->folder_ = folder;
  if (const auto path = folder / kSingleFile; std::filesystem::exists(path, error)) {
    AUTOGLM_TRY_VOID(source->OpenSingleFile(path));
  } else if (const auto index = folder / kIndexFile; std::filesystem::exists(index, error)) {
    AUTOGLM_TRY_VOID(source->OpenShards(index));
  } else {
    return Fail(ErrorCode::kNotFound, fmt::format("{} has neither {} nor {}; other formats are not read, fetch the model as "
                                                  "safetensors",
                                                  folder.string(), kSingleFile, kIndexFile));
  }
  return source;
}

Status SafetensorsFolder::OpenSingleFile(const std::filesystem::path& path) {
  AUTOGLM_TRY(auto file, SafetensorsFile::Open(path));
  WeightMap weight_map;
  for (const TensorView& tensor : file->tensors()) weight_map.emplace(tensor.name, kSingleFile);
  for (const auto& tensor : file->unknown_tensors()) weight_map.emplace(tensor.name, kSingleFile);
  return AddFile(std::move(file), weight_map, kSingleFile);
}

Status SafetensorsFolder::OpenShards(const std::filesystem::path& index_path) {
  AUTOGLM_TRY(const WeightMap weight_map, ReadWeightMap(index_path));
  std::map<std::string, WeightMap, std::less<>> shards;
  for (const auto& [tensor, shard] : weight_map) shards[shard].emplace(tensor, shard);
  if (shards.size() > kShardsMax) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{} names {} files; at most {} are allowed", index_path.string(), shards.size(), kShardsMax));
  }
  for (const auto& [shard, tensors] : shards) {
    auto file = SafetensorsFile::Open(folder_ / shard);
    if (!file) return Fail(file.error().code, index_path.string() + " needs a file: " + file.error().message);
    AUTOGLM_TRY_VOID(AddFile(*std::move(file), tensors, shard));
  }
  return {};
}

Status SafetensorsFolder::AddFile(std::unique_ptr<SafetensorsFile> file, const WeightMap& weight_map, std::string_view shard) {
  for (const auto& [tensor, unused] : weight_map) {
    if (!file->HasTensor(tensor)) {
      return Fail(ErrorCode::kCorruptFile, fmt::format("{} lacks the tensor '{}' that {} says it has", (folder_ / shard).string(),
                                                       PrintableName(tensor), kIndexFile));
    }
    file_of_.emplace(tensor, file.get());
  }
  for (const TensorView& tensor : file->tensors()) {
    if (weight_map.contains(tensor.name)) tensors_.push_back(tensor);
  }
  files_.push_back(std::move(file));
  return {};
}

Result<const TensorView*> SafetensorsFolder::FindTensor(std::string_view name) const {
  const auto entry = file_of_.find(name);
  if (entry != file_of_.end()) return entry->second->FindTensor(name);
  return Fail(ErrorCode::kNotFound, fmt::format("{}: the tensor '{}' is missing", folder_.string(), PrintableName(name)));
}

void SafetensorsFolder::DropPages(const TensorView& tensor) const {
  const auto entry = file_of_.find(tensor.name);
  AUTOGLM_CHECK(entry != file_of_.end());
  entry->second->DropPages(tensor);
}

std::vector<FileIdentity> SafetensorsFolder::Identities() const {
  std::vector<FileIdentity> identities;
  for (const auto& file : files_) {
    const std::vector<FileIdentity> of_file = file->Identities();
    if (of_file.empty()) return {};
    identities.insert(identities.end(), of_file.begin(), of_file.end());
  }
  return identities;
}

std::vector<std::span<const std::byte>> SafetensorsFolder::Headers() const {
  std::vector<std::span<const std::byte>> headers;
  for (const auto& file : files_) {
    for (const std::span<const std::byte> header : file->Headers()) headers.push_back(header);
  }
  return headers;
}

}  // namespace autoglm
