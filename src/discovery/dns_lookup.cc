#include "discovery/dns_lookup.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

namespace autoglm::discovery {
namespace {

constexpr size_t kMessageBytesMax = 65'535;
constexpr size_t kSrvHeadBytes = 6;  // priority, weight, port

tl::unexpected<Error> NotFound(const std::string& name, std::string_view why) {
  return Fail(ErrorCode::kNotFound, fmt::format("DNS has no servers at {}: {}", name, why));
}
tl::unexpected<Error> Unavailable(const std::string& name, std::string_view why) {
  return Fail(ErrorCode::kUnavailable, fmt::format("DNS cannot tell of {}: {}", name, why));
}

std::string TextOf(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = address.sa_family == AF_INET6
                          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr)
                          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  return inet_ntop(address.sa_family, bytes, text.data(), text.size()) == nullptr ? std::string() : std::string(text.data());
}

Result<std::vector<FoundEndpoint>> LookUpAddresses(const std::string& name, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (error == EAI_NONAME || error == EAI_NODATA) return NotFound(name, gai_strerror(error));
  if (error != 0) return Unavailable(name, gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  std::vector<FoundEndpoint> found;
  for (const addrinfo* item = list; item != nullptr && found.size() < kMaxFound; item = item->ai_next) {
    if (item->ai_family == AF_INET || item->ai_family == AF_INET6)
      found.push_back({.host = TextOf(*item->ai_addr), .port = port});
  }
  if (found.empty()) return NotFound(name, "no address");
  return found;
}

Result<std::vector<FoundEndpoint>> LookUpServices(const std::string& name, const sockaddr_in* name_server) {
  struct __res_state resolver{};  // of this call alone: the process's is not for many threads
  if (res_ninit(&resolver) != 0) return Unavailable(name, "the resolver cannot be set up");
  const std::unique_ptr<struct __res_state, decltype(&res_nclose)> owner(&resolver, &res_nclose);
  if (name_server != nullptr) {
    resolver.nsaddr_list[0] = *name_server;
    resolver.nscount = 1;
  }
  std::vector<uint8_t> message(kMessageBytesMax);
  const int size = res_nsearch(&resolver, name.c_str(), ns_c_in, ns_t_srv, message.data(), static_cast<int>(message.size()));
  if (size < 0) {
    const bool is_there_none = resolver.res_h_errno == HOST_NOT_FOUND || resolver.res_h_errno == NO_DATA;
    return is_there_none ? NotFound(name, hstrerror(resolver.res_h_errno)) : Unavailable(name, hstrerror(resolver.res_h_errno));
  }
  message.resize(std::min(message.size(), static_cast<size_t>(size)));
  const Result<std::vector<SrvRecord>> records = ParseSrvAnswer(message);
  if (!records) return Unavailable(name, records.error().message);
  std::vector<FoundEndpoint> found = EndpointsOf(*records);
  if (found.empty()) return NotFound(name, "no SRV record with a target");
  return found;
}

}  // namespace

Result<DnsQuery> DnsQuery::Parse(std::string_view text) {
  const auto refuse = [text] {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is neither NAME:PORT nor _SERVICE._tcp.NAME", text));
  };
  if (text.find_first_of(" \t\r\n/[]") != std::string_view::npos) return refuse();
  const size_t colon = text.find(':');
  if (text.starts_with('_')) {
    if (colon != std::string_view::npos || text.find("._") == std::string_view::npos) return refuse();
    return DnsQuery{.name = std::string(text)};
  }
  if (colon == 0 || colon == std::string_view::npos) return refuse();
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return refuse();
  return DnsQuery{.name = std::string(text.substr(0, colon)), .port = port};
}

Result<std::vector<FoundEndpoint>> LookUp(const DnsQuery& query, const sockaddr_in* name_server) {
  return query.port ? LookUpAddresses(query.name, *query.port) : LookUpServices(query.name, name_server);
}

Result<std::vector<SrvRecord>> ParseSrvAnswer(std::span<const uint8_t> message) {
  ns_msg handle{};
  const auto refuse = [] { return Fail(ErrorCode::kInvalidArgument, "the answer is not valid"); };
  if (message.size() > kMessageBytesMax) return refuse();
  if (ns_initparse(message.data(), static_cast<int>(message.size()), &handle) != 0) return refuse();
  std::vector<SrvRecord> records;
  for (int i = 0; i < ns_msg_count(handle, ns_s_an); ++i) {
    ns_rr record{};
    if (ns_parserr(&handle, ns_s_an, i, &record) != 0) return refuse();
    if (ns_rr_type(record) != ns_t_srv) continue;
    const uint8_t* data = ns_rr_rdata(record);
    if (ns_rr_rdlen(record) <= kSrvHeadBytes) return refuse();
    std::array<char, NS_MAXDNAME> target{};
    if (dn_expand(ns_msg_base(handle), ns_msg_end(handle), data + kSrvHeadBytes, target.data(), target.size()) < 0) {
      return refuse();
    }
    records.push_back({.priority = static_cast<uint16_t>(ns_get16(data)),
                       .weight = static_cast<uint16_t>(ns_get16(data + 2)),
                       .port = static_cast<uint16_t>(ns_get16(data + 4)),
                       .target = target.data()});
  }
  return records;
}

std::vector<FoundEndpoint> EndpointsOf(std::span<const SrvRecord> records) {
  const auto is_usable = [](const SrvRecord& record) {
    return record.port != 0 && !record.target.empty() && record.target != ".";
  };
  std::vector<SrvRecord> first;
  std::ranges::copy_if(records, std::back_inserter(first), is_usable);
  if (first.empty()) return {};
  const uint16_t priority = std::ranges::min(first, {}, &SrvRecord::priority).priority;
  std::erase_if(first, [priority](const SrvRecord& record) { return record.priority != priority; });
  // A weight of 0 is the least there is, not none.
  const auto weight_of = [](const SrvRecord& record) { return std::max(1.0, static_cast<double>(record.weight)); };
  double sum = 0;
  for (const SrvRecord& record : first) sum += weight_of(record);
  std::vector<FoundEndpoint> found;
  found.reserve(first.size());
  for (const SrvRecord& record : first) {
    found.push_back(
        {.host = record.target, .port = record.port, .weight = weight_of(record) * static_cast<double>(first.size()) / sum});
  }
  return found;
}

}  // namespace autoglm::discovery
