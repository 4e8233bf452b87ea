#include "web/loopback.h"

namespace autoglm {

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // A name such as 127.example.org is no address.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace autoglm
