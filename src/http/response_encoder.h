#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"

namespace autoglm::http {

// Bytes on their way to a socket. Small pieces are joined, so that a burst of tokens is one buffer; large ones are moved.
class OutputPieces {
 public:
  void Append(std::string_view bytes);
  void AppendMoved(std::string bytes);

  const std::vector<std::string>& pieces() const { return pieces_; }
  bool empty() const { return pieces_.empty(); }

 private:
  std::vector<std::string> pieces_;
};

enum class BodyPart { kWhole, kStreamed };

// Turns one answer into HTTP/1.1 bytes: a head, then a body of known length, in chunks, or (HTTP/1.0 streams) until close.
class ResponseEncoder {
 public:
  struct Traits {
    bool is_head_request = false;  // the client wants the head only
    bool is_http_1_0 = false;
    bool keep_alive = true;  // what client and server agree on so far
  };

  explicit ResponseEncoder(const Traits& traits) : traits_(traits) {}

  // The server is going away: this answer is the connection's last, if its head is still to come.
  void CloseAfterThis() { traits_.keep_alive = false; }

  // For kStreamed the response's body is not looked at.
  void EncodeHead(Response response, BodyPart part, OutputPieces& out);
  void EncodeChunk(std::string data, OutputPieces& out) const;
  void EncodeEnd(OutputPieces& out) const;

  // Valid after EncodeHead: the connection may carry another request.
  bool keeps_alive() const { return traits_.keep_alive; }

 private:
  Traits traits_;
  bool is_chunked_ = false;
  bool has_body_ = true;
};

// "OK" for 200; empty for a status nobody has named.
std::string_view ReasonPhrase(int status);

}  // namespace autoglm::http
