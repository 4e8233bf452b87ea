#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::jinja {

// Who wrote a byte: the template, or the caller's context, where it may be what a user typed.
enum class Origin : uint8_t { kTemplate, kContext };

// A string that knows the origin of each of its bytes, and keeps it when it is cut and joined.
class Text {
 public:
  struct Run {
    size_t end = 0;  // where the run stops; it starts where the one before stops
    Origin origin = Origin::kTemplate;
  };

  Text() = default;
  explicit Text(std::string bytes, Origin origin = Origin::kTemplate);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Neighbouring runs differ in origin; none is empty.
  const std::vector<Run>& runs() const { return runs_; }
  bool HasContext() const;
  Origin OriginAt(size_t byte) const;

  void Append(std::string_view bytes, Origin origin);
  void Append(const Text& text) { AppendSlice(text, 0, text.size()); }
  void AppendSlice(const Text& from, size_t begin, size_t end);
  Text Slice(size_t begin, size_t end) const;

 private:
  size_t RunIndexAt(size_t byte) const;
  void ExtendRuns(size_t num_bytes, Origin origin);

  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace autoglm::jinja
