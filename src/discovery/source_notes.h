#pragma once

#include <string>
#include <vector>

#include "discovery/upstream_source.h"
#include "support/notebook.h"

namespace autoglm::discovery {

// For tests: what a source has told. A list is its URLs, a problem "problem: " and its message.
class SourceNotes {
 public:
  SourceHooks Hooks() {
    return {.on_change =
                [this](const std::vector<gateway::UpstreamConfig>& upstreams) {
                  std::string urls;
                  for (const auto& upstream : upstreams) urls += (urls.empty() ? "" : " ") + upstream.url;
                  notes_.Write(urls.empty() ? "nobody" : urls);
                },
            .on_problem = [this](const Error& problem) { notes_.Write("problem: " + problem.message); }};
  }
  std::string At(size_t index) const { return notes_.At(index); }
  std::vector<std::string> All() const { return notes_.All(); }

 private:
  testing::Notebook<std::string> notes_;
};

}  // namespace autoglm::discovery
