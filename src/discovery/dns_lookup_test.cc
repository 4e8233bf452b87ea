#include "discovery/dns_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace autoglm::discovery {
namespace {

using testing::ElementsAre;
using Bytes = std::vector<uint8_t>;

void Append16(Bytes& bytes, uint16_t number) {
  bytes.push_back(static_cast<uint8_t>(number >> 8));
  bytes.push_back(static_cast<uint8_t>(number));
}

void AppendName(Bytes& bytes, std::string_view name) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    bytes.push_back(static_cast<uint8_t>(label.size()));
    bytes.insert(bytes.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  bytes.push_back(0);
}

constexpr uint16_t kSrv = 33;
constexpr uint16_t kCname = 5;

void AppendRecord(Bytes& bytes, uint16_t type, const Bytes& data) {
  Append16(bytes, 0xc00c);  // the name in the question
  Append16(bytes, type);
  Append16(bytes, 1);
  bytes.insert(bytes.end(), {0, 0, 0, 30});
  Append16(bytes, static_cast<uint16_t>(data.size()));
  bytes.insert(bytes.end(), data.begin(), data.end());
}

Bytes SrvData(const SrvRecord& record) {
  Bytes data;
  Append16(data, record.priority);
  Append16(data, record.weight);
  Append16(data, record.port);
  AppendName(data, record.target);
  return data;
}

// What a name server answers to `question` (a name and four bytes).
Bytes Answer(uint16_t id, const Bytes& question, const std::vector<SrvRecord>& records, uint16_t failure = 0) {
  Bytes message;
  Append16(message, id);
  Append16(message, static_cast<uint16_t>(0x8180 | failure));
  Append16(message, 1);
  Append16(message, static_cast<uint16_t>(records.size() + 1));
  Append16(message, 0);
  Append16(message, 0);
  message.insert(message.end(), question.begin(), question.end());
  Bytes alias;
  AppendName(alias, "alias.example");
  AppendRecord(message, kCname, alias);
  for (const SrvRecord& record : records) AppendRecord(message, kSrv, SrvData(record));
  return message;
}

Bytes Question(std::string_view name) {
  Bytes question;
  AppendName(question, name);
  Append16(question, kSrv);
  Append16(question, 1);
  return question;
}

// Answers every question on 127.0.0.1 in one way.
class NameServer {
 public:
  NameServer(std::vector<SrvRecord> records, uint16_t failure)
      : records_(std::move(records)), failure_(failure), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address_), length), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address_), &length), 0);
    thread_ = std::jthread([this] { Run(); });
  }
  ~NameServer() {
    is_stopping_ = true;
    thread_.join();
    close(socket_);
  }
  const sockaddr_in* address() const { return &address_; }

 private:
  void Run() {
    while (!is_stopping_) {
      pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, 10) != 1) continue;
      Bytes message(512);
      sockaddr_in client{};
      socklen_t length = sizeof client;
      const ssize_t size = recvfrom(socket_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&client), &length);
      if (size < 17) continue;
      const auto name_end = std::find(message.begin() + 12, message.end(), 0);
      const Bytes answer = Answer(static_cast<uint16_t>(message[0] << 8 | message[1]), Bytes(message.begin() + 12, name_end + 5),
                                  records_, failure_);
      (void)sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&client), length);
    }
  }

  const std::vector<SrvRecord> records_;
  const uint16_t failure_;
  int socket_;
  sockaddr_in address_{};
  std::atomic<bool> is_stopping_ = false;
  std::jthread thread_;
};

TEST(DnsQuery, IsANameWithAPortOrAService) {
  const DnsQuery host = DnsQuery::Parse("llm.default.svc:8000").value();
  EXPECT_EQ(host.name, "llm.default.svc");
  EXPECT_EQ(host.port, 8000);
  const DnsQuery service = DnsQuery::Parse("_http._tcp.llm.default.svc").value();
  EXPECT_EQ(service.name, "_http._tcp.llm.default.svc");
  EXPECT_EQ(service.port, std::nullopt);
  for (const char* wrong :
       {"", "llm", ":80", "llm:", "llm:0", "llm:70000", "llm:80x", "http://llm:80", "_http", "_http._tcp.llm:80"}) {
    EXPECT_FALSE(DnsQuery::Parse(wrong)) << wrong;
  }
}

TEST(DnsLookup, EveryAddressIsAnEndpoint) {
  const auto found = LookUp({.name = "127.0.0.1", .port = 8000});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, ElementsAre(FoundEndpoint{.host = "127.0.0.1", .port = 8000}));
  EXPECT_TRUE(LookUp({.name = "localhost", .port = 8000}));
}

TEST(DnsLookup, ServicesSayTheirPorts) {
  const NameServer server(
      {{.weight = 3, .port = 8001, .target = "a.example"}, {.weight = 1, .port = 8002, .target = "b.example"}}, 0);
  const auto found = LookUp({.name = "_http._tcp.llm.example"}, server.address());
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, ElementsAre(FoundEndpoint{.host = "a.example", .port = 8001, .weight = 1.5},
                                  FoundEndpoint{.host = "b.example", .port = 8002, .weight = 0.5}));
}

TEST(DnsLookup, ANameThatIsNotThereIsAnError) {
  const NameServer nowhere({}, 3);
  const auto missing = LookUp({.name = "_http._tcp.llm.example."}, nowhere.address());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, testing::HasSubstr("_http._tcp.llm.example"));
  const NameServer empty({}, 0);
  EXPECT_FALSE(LookUp({.name = "_http._tcp.llm.example."}, empty.address()));
}

TEST(SrvAnswer, HasItsRecordsAmongOthers) {
  const auto records =
      ParseSrvAnswer(Answer(1, Question("_a._tcp.b"), {{.priority = 1, .weight = 2, .port = 3, .target = "c.d"}}));
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_EQ(records->size(), 1u);
  EXPECT_EQ(records->front().priority, 1);
  EXPECT_EQ(records->front().weight, 2);
  EXPECT_EQ(records->front().port, 3);
  EXPECT_EQ(records->front().target, "c.d");
}

TEST(SrvAnswer, DamagedMessagesAreRefusedOrReadInPart) {
  const Bytes whole = Answer(1, Question("_a._tcp.b"), {{.weight = 2, .port = 3, .target = "c.d"}, {.port = 4, .target = "e.f"}});
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(ParseSrvAnswer(std::span(whole).first(size))) << size;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const uint8_t byte : {0x00, 0x3f, 0xc0, 0xff}) {
      Bytes damaged = whole;
      damaged[i] = byte;
      const auto records = ParseSrvAnswer(damaged);
      EXPECT_TRUE(!records || records->size() <= 2) << i;
    }
  }
}

TEST(SrvRecords, OfTheFirstPriorityCountByWeight) {
  const std::vector<SrvRecord> records = {{.priority = 20, .weight = 9, .port = 1, .target = "spare"},
                                          {.priority = 10, .weight = 0, .port = 2, .target = "a"},
                                          {.priority = 10, .weight = 3, .port = 3, .target = "b"},
                                          {.priority = 0, .weight = 1, .port = 4, .target = "."}};
  EXPECT_THAT(EndpointsOf(records), ElementsAre(FoundEndpoint{.host = "a", .port = 2, .weight = 0.5},
                                                FoundEndpoint{.host = "b", .port = 3, .weight = 1.5}));
  EXPECT_THAT(EndpointsOf({}), testing::IsEmpty());
}

}  // namespace
}  // namespace autoglm::discovery
