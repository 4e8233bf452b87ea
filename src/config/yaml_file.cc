#include "config/yaml_file.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>

#include "base/utf8.h"

namespace autoglm {
namespace {

// The deepest there is to say is 8 levels deep.
constexpr int kMaxDepth = 32;
// Keys and values, each as often as aliases stand for it: as many as a file of the largest size may well hold.
constexpr int64_t kMaxValues = 1 << 18;

tl::unexpected<Error> FailAtByte(std::string_view file_name, std::string_view yaml, size_t position, std::string_view what) {
  YAML::Mark mark;
  mark.line = static_cast<int>(std::ranges::count(yaml.substr(0, position), '\n'));
  return FailAt(file_name, mark, what);
}

// YAML 1.2 allows no control characters but these; yaml-cpp takes 4 for the end of the file.
bool IsForbidden(unsigned char c) { return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f; }

Status CheckText(std::string_view yaml, std::string_view file_name) {
  if (std::ssize(yaml) > kMaxYamlBytes) {
    return FailAtByte(file_name, yaml, 0, fmt::format("the file must be at most {} bytes", kMaxYamlBytes));
  }
  if (const size_t end = ValidUtf8Prefix(yaml); end < yaml.size()) {
    return FailAtByte(file_name, yaml, end, "the file must be text in UTF-8");
  }
  const auto found = std::ranges::find_if(yaml, IsForbidden);
  if (found == yaml.end()) return {};
  return FailAtByte(file_name, yaml, static_cast<size_t>(found - yaml.begin()),
                    fmt::format("the file holds a control character, {:#04x}", static_cast<unsigned char>(*found)));
}

Status CountValues(const YAML::Node& node, std::string_view file_name, int depth, int64_t& num_values) {
  if (depth > kMaxDepth) {
    return FailAt(file_name, node.Mark(),
                  fmt::format("is more than {} levels deep, or an alias of what it stands in", kMaxDepth));
  }
  if (++num_values > kMaxValues) {
    return FailAt(file_name, node.Mark(), fmt::format("aliases stand for more than {} values", kMaxValues));
  }
  for (const auto& item : node) {
    if (node.IsSequence()) {
      AUTOGLM_TRY_VOID(CountValues(item, file_name, depth + 1, num_values));
      continue;
    }
    AUTOGLM_TRY_VOID(CountValues(item.first, file_name, depth + 1, num_values));
    AUTOGLM_TRY_VOID(CountValues(item.second, file_name, depth + 1, num_values));
  }
  return {};
}

// Where the last document began.
class DocumentPlace : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// Not by YAML::LoadAll, which finds documents without end in "a\n,". Throws what yaml-cpp throws.
Status CheckOneDocument(const std::string& yaml, std::string_view file_name) {
  std::istringstream in(yaml);
  YAML::Parser parser(in);
  DocumentPlace place;
  if (!parser.HandleNextDocument(place) || !parser.HandleNextDocument(place)) return {};
  return FailAt(file_name, place.mark(), "a second document begins here; only one is read");
}

}  // namespace

tl::unexpected<Error> FailAt(std::string_view file_name, const YAML::Mark& mark, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", file_name, mark.line + 1, what));
}

Result<YAML::Node> LoadYaml(const std::string& yaml, std::string_view file_name) {
  AUTOGLM_TRY_VOID(CheckText(yaml, file_name));
  try {
    AUTOGLM_TRY_VOID(CheckOneDocument(yaml, file_name));
    YAML::Node document = YAML::Load(yaml);
    int64_t num_values = 0;
    AUTOGLM_TRY_VOID(CountValues(document, file_name, 0, num_values));
    return document;
  } catch (const YAML::Exception& exception) {
    return FailAt(file_name, exception.mark, exception.msg);
  }
}

}  // namespace autoglm
