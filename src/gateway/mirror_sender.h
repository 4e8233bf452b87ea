#pragma once

#include <list>
#include <memory>

#include "gateway/admitted_request.h"
#include "gateway/route.h"
#include "http/client.h"

namespace autoglm::gateway {

// Sends copies of requests to a route, for its upstreams to be tried with real traffic; nobody waits for the answers, and what
// becomes of them counts for that route's upstreams only. Beyond kMaxCopies at a time none are sent. On one loop's thread; gone
// before the client.
class MirrorSender {
 public:
  static constexpr size_t kMaxCopies = 256;

  MirrorSender();
  ~MirrorSender();

  void Send(http::Client& client, const std::shared_ptr<Route>& route, const AdmittedRequest& original);

 private:
  class Copy;
  std::list<std::unique_ptr<Copy>> copies_;
};

}  // namespace autoglm::gateway
