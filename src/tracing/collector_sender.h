#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "http/event_loop.h"

namespace autoglm {

// Where something is posted to.
struct CollectorAddress {
  http::Origin origin;
  std::string path;  // of the address; the format's own follows
  std::vector<std::pair<std::string, std::string>> headers;

  // "http://host:port[/path]" or https. Errors: kInvalidArgument.
  static Result<CollectorAddress> Parse(std::string_view url);
};

// Posts bodies to a collector one after the other, on its loop's thread. What the collector does not take is tried again a few
// times, with pauses that grow; who waits for it is nobody.
class CollectorSender {
 public:
  enum class Outcome { kTaken, kRefused, kGivenUp };
  struct Post {
    std::string path;  // below the address's
    std::string content_type;
    std::string body;
    std::function<void(Outcome)> done;
  };

  CollectorSender(http::EventLoop& loop, CollectorAddress address);
  ~CollectorSender();
  CollectorSender(const CollectorSender&) = delete;
  CollectorSender& operator=(const CollectorSender&) = delete;

  bool is_busy() const { return current_ != nullptr; }
  void Send(Post post);  // only while it is not busy

  const std::string& authority() const { return address_.origin.authority; }
  const std::string& last_failure() const { return last_failure_; }

 private:
  void Try();
  void OnAnswer(Result<http::Client::Answer> answer);
  void Finish(Outcome outcome);

  http::EventLoop& loop_;
  const CollectorAddress address_;
  http::Client client_;
  std::unique_ptr<Post> current_;
  std::shared_ptr<const std::string> body_;
  int num_tries_ = 0;
  std::string last_failure_;
  std::unique_ptr<http::ClientCall> call_;
  http::EventLoop::Timer pause_;
};

}  // namespace autoglm
