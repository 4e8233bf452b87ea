#include "guard/redis_script.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <utility>

#include "base/check.h"

namespace autoglm::guard {
namespace {

std::string Sha1Of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int num_bytes = 0;
  AUTOGLM_CHECK(EVP_Digest(text.data(), text.size(), hash.data(), &num_bytes, EVP_sha1(), nullptr) == 1);
  std::string hex;
  for (unsigned int i = 0; i < num_bytes; ++i) hex += fmt::format("{:02x}", hash[i]);
  return hex;
}

std::vector<std::string_view> ViewsOf(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

}  // namespace

RedisScript::RedisScript(std::string_view text) : text_(text), sha1_(Sha1Of(text)) {}

bool RedisScript::Run(RedisConnection& connection, const std::vector<std::string>& keys, std::vector<std::string> arguments,
                      RedisConnection::Done done) const {
  auto words =
      std::make_shared<std::vector<std::string>>(std::vector<std::string>{"EVALSHA", sha1_, fmt::format("{}", keys.size())});
  words->insert(words->end(), keys.begin(), keys.end());
  for (std::string& argument : arguments) words->push_back(std::move(argument));

  return connection.Send(ViewsOf(*words), [this, &connection, words, done = std::move(done)](Result<RedisReply> reply) {
    const bool is_unknown = reply && reply->kind == RedisReply::Kind::kError && reply->text.starts_with("NOSCRIPT");
    if (!is_unknown) return done(std::move(reply));
    (*words)[0] = "EVAL";
    (*words)[1] = text_;
    if (!connection.Send(ViewsOf(*words), done)) done(Fail(ErrorCode::kUnavailable, "too much waits for Redis"));
  });
}

}  // namespace autoglm::guard
