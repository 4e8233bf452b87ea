#include "guard/redis_reply.h"

#include <fmt/format.h>
#include <hiredis/read.h>

#include "base/check.h"

namespace autoglm::guard {
namespace {

// hiredis builds its objects through these, the outermost first; a list has its elements from the beginning, so that they stay
// where they are.
RedisReply* Place(const redisReadTask* task, RedisReply reply) {
  if (task->parent == nullptr) return new RedisReply(std::move(reply));
  RedisReply& place = static_cast<RedisReply*>(task->parent->obj)->list[static_cast<size_t>(task->idx)];
  place = std::move(reply);
  return &place;
}

void* CreateText(const redisReadTask* task, char* text, size_t num_bytes) {
  const auto kind = task->type == REDIS_REPLY_ERROR ? RedisReply::Kind::kError : RedisReply::Kind::kText;
  return Place(task, {.kind = kind, .text = std::string(text, num_bytes)});
}

// nullptr ends the reading; hiredis would take whatever number a peer writes.
void* CreateList(const redisReadTask* task, int num_elements) {
  if (num_elements < 0 || num_elements > RedisReplyParser::kMaxElements) return nullptr;
  RedisReply reply{.kind = RedisReply::Kind::kList};
  reply.list.resize(static_cast<size_t>(num_elements));
  return Place(task, std::move(reply));
}

void* CreateInteger(const redisReadTask* task, long long value) {
  return Place(task, {.kind = RedisReply::Kind::kInteger, .integer = value});
}

void* CreateNil(const redisReadTask* task) { return Place(task, {}); }

void FreeOutermost(void* reply) { delete static_cast<RedisReply*>(reply); }

redisReplyObjectFunctions& Functions() {
  static redisReplyObjectFunctions functions = {.createString = CreateText,
                                                .createArray = CreateList,
                                                .createInteger = CreateInteger,
                                                .createNil = CreateNil,
                                                .freeObject = FreeOutermost};
  return functions;
}

}  // namespace

void RedisReplyParser::Releaser::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisReplyParser::RedisReplyParser() : reader_(redisReaderCreateWithFunctions(&Functions())) {
  AUTOGLM_CHECK(reader_ != nullptr);
}

void RedisReplyParser::Feed(std::string_view bytes) {
  num_fed_ += bytes.size();
  if (num_fed_ <= kMaxReplyBytes) (void)redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

Result<std::optional<RedisReply>> RedisReplyParser::Next() {
  void* object = nullptr;
  if (redisReaderGetReply(reader_.get(), &object) != REDIS_OK) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("what Redis answers cannot be read: {}", reader_->errstr));
  }
  if (object == nullptr) {
    if (num_fed_ <= kMaxReplyBytes) return std::nullopt;
    return Fail(ErrorCode::kInvalidArgument, fmt::format("Redis answers with more than {} bytes", kMaxReplyBytes));
  }
  num_fed_ = reader_->len - reader_->pos;
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(object));
  return std::move(*reply);
}

}  // namespace autoglm::guard
