#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "discovery/upstream_source.h"

namespace autoglm::discovery {

// Tells of what is new only: lists that differ from the last, problems that differ from the last and are not solved.
class SourceReport {
 public:
  explicit SourceReport(SourceHooks hooks) : hooks_(std::move(hooks)) {}

  void Found(std::vector<gateway::UpstreamConfig> upstreams) {
    if (upstreams == upstreams_) return;
    upstreams_ = upstreams;
    hooks_.on_change(std::move(upstreams));
  }
  void Failed(const Error& error) {
    if (error.message == problem_) return;
    problem_ = error.message;
    hooks_.on_problem(error);
  }
  void Works() { problem_.clear(); }

 private:
  const SourceHooks hooks_;
  std::optional<std::vector<gateway::UpstreamConfig>> upstreams_;  // nullopt: none was told yet
  std::string problem_;                                            // empty: none
};

}  // namespace autoglm::discovery
