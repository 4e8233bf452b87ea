#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

struct HostPort {
  std::string host;  // a name, or an address without brackets
  uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

// "127.0.0.1:8000", "[::1]:8000", "name:8000"; without the port where there is a default. Errors: kInvalidArgument.
Result<HostPort> ParseHostPort(std::string_view text, std::optional<uint16_t> default_port = std::nullopt);

// "http://host", "https://host:port", nothing behind but slashes, which are left out of what is returned. Errors:
// kInvalidArgument, which do not quote the text: people write passwords into URLs.
Result<std::string> ParseServerUrl(std::string_view text);

bool IsHttpsUrl(std::string_view url);

// Whether nobody but this machine reaches it.
bool IsLoopback(std::string_view host);

}  // namespace autoglm
