#include "weights/safetensors_header.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

#include "weights/json_events.h"
#include "weights/printable_name.h"

namespace autoglm {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr size_t kNameBytesMax = 65535;
constexpr int64_t kElementsMax = std::numeric_limits<int64_t>::max() / 8;  // their bytes can be counted, whatever the type

// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "text", ...}}
class HeaderEvents : public JsonEvents {
 public:
  SafetensorsHeader TakeHeader() { return std::move(header_); }

  bool start_object(size_t) override {
    if (level_ == Level::kStart) {
      level_ = Level::kTop;
    } else if (level_ == Level::kTop) {
      level_ = name_ == kMetadataKey ? Level::kMetadata : Level::kTensor;
    } else {
      return Unexpected("an object");
    }
    return true;
  }

  bool key(string_t& key) override {
    if (level_ == Level::kTop) return StartEntry(key);
    if (level_ == Level::kMetadata) {
      if (header_.metadata.contains(key)) return Refuse(fmt::format("the metadata has '{}' twice", PrintableName(key)));
      field_ = std::move(key);
      return true;
    }
    return StartField(key);
  }

  bool string(string_t& text) override {
    if (level_ == Level::kMetadata) {
      header_.metadata.emplace(std::move(field_), std::move(text));
      return true;
    }
    if (level_ != Level::kTensor || field_ != "dtype") return Unexpected("a string");
    Entry().dtype = std::move(text);
    return true;
  }

  bool start_array(size_t) override {
    if (level_ != Level::kTensor || field_ == "dtype") return Unexpected("a list");
    level_ = Level::kList;
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (level_ != Level::kList) return Unexpected("a number");
    if (field_ == "shape") return AddDimension(number);
    if (num_offsets_ == 2) return Refuse(Place() + ": data_offsets has more than two numbers");
    (num_offsets_++ == 0 ? Entry().begin : Entry().end) = number;
    return true;
  }

  bool end_array() override {
    level_ = Level::kTensor;
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kTop) {
      level_ = Level::kEnd;
      return true;
    }
    const bool is_whole = level_ == Level::kMetadata || EndEntry();
    level_ = Level::kTop;
    return is_whole;
  }

 protected:
  std::string Place() const override {
    const bool is_tensor = level_ == Level::kTensor || level_ == Level::kList;
    return is_tensor ? fmt::format("tensor '{}'", PrintableName(name_)) : "the header";
  }

 private:
  enum class Level { kStart, kTop, kMetadata, kTensor, kList, kEnd };

  SafetensorsEntry& Entry() { return header_.entries.back(); }

  bool StartEntry(std::string& name) {
    if (name.empty() || name.size() > kNameBytesMax) {
      return Refuse(fmt::format("a tensor's name has {} bytes; 1 to {} are allowed", name.size(), kNameBytesMax));
    }
    if (!names_.insert(name).second) return Refuse(fmt::format("'{}' appears twice", PrintableName(name)));
    name_ = std::move(name);
    if (name_ == kMetadataKey) return true;
    header_.entries.push_back({.name = name_});
    num_elements_ = 1;
    num_offsets_ = 0;
    seen_fields_.clear();
    return true;
  }

  bool StartField(std::string& field) {
    if (field != "dtype" && field != "shape" && field != "data_offsets") {
      return Refuse(fmt::format("{} has the unknown field '{}'", Place(), PrintableName(field)));
    }
    if (!seen_fields_.insert(field).second) return Refuse(fmt::format("{} has '{}' twice", Place(), field));
    field_ = std::move(field);
    return true;
  }

  bool AddDimension(uint64_t size) {
    auto& shape = Entry().shape;
    if (shape.size() == kSafetensorsDimensionsMax) {
      return Refuse(fmt::format("{} has more than {} dimensions", Place(), kSafetensorsDimensionsMax));
    }
    // A dimension of 0 counts as 1 here: the others must not overflow whatever it is.
    const auto limit = static_cast<uint64_t>(kElementsMax / num_elements_);
    if (size > limit) return Refuse(fmt::format("{}: a dimension is {}, too large for any file", Place(), size));
    num_elements_ *= size == 0 ? 1 : static_cast<int64_t>(size);
    shape.push_back(static_cast<int64_t>(size));
    return true;
  }

  bool EndEntry() {
    if (seen_fields_.size() != 3) return Refuse(Place() + " lacks dtype, shape or data_offsets");
    if (num_offsets_ != 2) return Refuse(Place() + ": data_offsets must have two numbers");
    if (Entry().begin > Entry().end) {
      return Refuse(fmt::format("{} begins at {}, after its end {}", Place(), Entry().begin, Entry().end));
    }
    return true;
  }

  SafetensorsHeader header_;
  Level level_ = Level::kStart;
  std::string name_;   // of the tensor, or __metadata__
  std::string field_;  // of the tensor or the metadata
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> seen_fields_;
  int64_t num_elements_ = 1;
  int num_offsets_ = 0;
};

}  // namespace

Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json) {
  HeaderEvents events;
  AUTOGLM_TRY_VOID(JsonEvents::Read(json, "the header", events));
  return events.TakeHeader();
}

}  // namespace autoglm
