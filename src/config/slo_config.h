#pragma once

#include <filesystem>
#include <string>

namespace autoglm {

// Objectives that a process holds its requests to, as people say it.
struct SloConfig {
  std::filesystem::path file;   // slo.json or OpenSLO; empty: none
  std::filesystem::path state;  // where counts outlive the process; empty: nowhere
  std::string webhook;          // http://host:port/path that is told of alerts; empty: nobody is

  bool operator==(const SloConfig&) const = default;
};

}  // namespace autoglm
