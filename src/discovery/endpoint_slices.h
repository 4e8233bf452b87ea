#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "discovery/found_endpoint.h"
#include "json/json.h"

namespace autoglm::discovery {

// The EndpointSlices of one Kubernetes service (discovery.k8s.io/v1), as LIST and WATCH of its API tell them.
class EndpointSlices {
 public:
  static constexpr size_t kMaxSlices = 1024;  // of up to 1000 endpoints each; usual is 100

  // Empty: a slice's first port.
  explicit EndpointSlices(std::string port_name) : port_name_(std::move(port_name)) {}

  // An answer to LIST: all there are. Errors: kInvalidArgument for another shape.
  Status Replace(const Json& list);

  enum class WatchEvent { kChange, kBookmark, kGone };
  // A line of an answer to WATCH. kGone: what happened since resource_version() is not kept any more, and all must be listed
  // anew. Errors: kInvalidArgument for another shape, kUnavailable for an error that the server tells, kResourceExhausted.
  Result<WatchEvent> Apply(const Json& event);

  // Up to which all is known; for the next WATCH.
  const std::string& resource_version() const { return resource_version_; }

  // Those that are ready; where none is, those that still serve while they end, as kube-proxy does. Of a service that has
  // addresses of both families, IPv4's: they are of the same pods.
  std::vector<FoundEndpoint> Endpoints() const;

 private:
  struct Endpoint {
    FoundEndpoint place;
    bool is_ready = true;
    bool is_ending = false;  // terminating, and serving meanwhile
  };
  struct Slice {
    bool is_ipv6 = false;
    std::vector<Endpoint> endpoints;
  };

  Result<Slice> ReadSlice(const Json& object) const;
  Status Take(const Json& object);

  std::string port_name_;
  std::string resource_version_;
  std::map<std::string, Slice, std::less<>> slices_;  // by name
};

}  // namespace autoglm::discovery
