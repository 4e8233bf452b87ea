#include "guard/limit_scripts.h"

#include <fmt/format.h>

namespace autoglm::guard {
namespace {

// Buckets: a microsecond fills `limit` shares, and a token is a minute of them.
constexpr std::string_view kCommon = R"lua(
local kMinute = 60000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function whole(number) return string.format('%.0f', number) end

local function read_rate(requests_limit, tokens_limit)
  local state = redis.call('HMGET', KEYS[1], 'at', 'requests', 'requests_limit', 'tokens', 'tokens_limit')
  local elapsed = math.max(0, now - tonumber(state[1] or now))
  local function taken(count, limit) return math.max(0, tonumber(count or 0) - elapsed * tonumber(limit or 0)) end
  return {requests = taken(state[2], state[3]), requests_limit = requests_limit,
          tokens = taken(state[4], state[5]), tokens_limit = tokens_limit, at = math.max(now, tonumber(state[1] or now))}
end

local function time_for(missing, limit)
  if missing <= 0 or limit == 0 then return 0 end
  return math.ceil(missing / limit)
end

local function write_rate(rate)
  redis.call('HSET', KEYS[1], 'at', whole(rate.at), 'requests', whole(rate.requests), 'requests_limit', whole(rate.requests_limit),
             'tokens', whole(rate.tokens), 'tokens_limit', whole(rate.tokens_limit))
  local full = math.max(time_for(rate.requests, rate.requests_limit), time_for(rate.tokens, rate.tokens_limit))
  redis.call('PEXPIRE', KEYS[1], whole(math.max(60000, math.ceil(full / 1000)) + 1000))
end

local function keep_budget(lifetime)
  if lifetime == 0 then return end
  redis.call('PEXPIRE', KEYS[3], whole(lifetime))
  redis.call('PEXPIRE', KEYS[4], whole(lifetime))
end

local function let_go(id)
  local hold = redis.call('HGET', KEYS[3], 'hold:' .. id)
  if hold then
    redis.call('HINCRBY', KEYS[3], 'held', '-' .. hold)
    redis.call('HDEL', KEYS[3], 'hold:' .. id)
  end
  redis.call('ZREM', KEYS[4], id)
end

local function hold(id, cost, lease)
  redis.call('ZADD', KEYS[4], whole(now + lease), id)
  if redis.call('HSETNX', KEYS[3], 'hold:' .. id, whole(cost)) == 1 then redis.call('HINCRBY', KEYS[3], 'held', whole(cost)) end
end

local function run(id, lease)
  redis.call('ZADD', KEYS[2], whole(now + lease), id)
  redis.call('PEXPIRE', KEYS[2], whole(math.ceil(lease / 1000) * 2))
end
)lua";

constexpr std::string_view kAcquire = R"lua(
local id = ARGV[1]
local reserve, max_running, lease = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local budget, cost, lifetime, known = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local used, held = 0, 0
if budget > 0 then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', whole(now), 'LIMIT', 0, 100)) do let_go(gone) end
  local state = redis.call('HMGET', KEYS[3], 'used', 'held')
  used, held = tonumber(state[1] or 0), tonumber(state[2] or 0)
  if used < known then
    used = known
    redis.call('HSET', KEYS[3], 'used', whole(used))
    keep_budget(lifetime)
  end
  if cost > 0 and used + held + cost > budget then return {4, 0, 0, 0, 0, 0, used, held} end
end

local rate = read_rate(tonumber(ARGV[2]), tonumber(ARGV[3]))
local refused_by, wait = 0, 0
local function consider(limit, longer)
  if longer > wait then refused_by, wait = limit, longer end
end
if max_running > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  if redis.call('ZCARD', KEYS[2]) >= max_running then consider(1, 1000000) end
end
consider(2, time_for(rate.requests + (1 - rate.requests_limit) * kMinute, rate.requests_limit))
consider(3, time_for(rate.tokens + (reserve - rate.tokens_limit) * kMinute, rate.tokens_limit))

if refused_by == 0 then
  if rate.requests_limit > 0 then rate.requests = rate.requests + kMinute end
  if rate.tokens_limit > 0 then rate.tokens = rate.tokens + reserve * kMinute end
  if rate.requests_limit > 0 or rate.tokens_limit > 0 then write_rate(rate) end
  if max_running > 0 then run(id, lease) end
  if budget > 0 and cost > 0 then
    hold(id, cost, lease)
    keep_budget(lifetime)
  end
end
local function remaining(taken, limit) return math.floor(math.max(0, limit * kMinute - taken) / kMinute) end
return {refused_by, wait,
        remaining(rate.requests, rate.requests_limit), time_for(rate.requests, rate.requests_limit),
        remaining(rate.tokens, rate.tokens_limit), time_for(rate.tokens, rate.tokens_limit), used, held}
)lua";

constexpr std::string_view kSettle = R"lua(
local id, give_back, cost, lifetime = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if give_back ~= 0 then
  local rate = read_rate(tonumber(ARGV[2]), tonumber(ARGV[3]))
  if rate.tokens_limit > 0 then
    rate.tokens = math.max(0, rate.tokens - give_back * kMinute)
    write_rate(rate)
  end
end
redis.call('ZREM', KEYS[2], id)
let_go(id)
if cost > 0 then
  redis.call('HINCRBY', KEYS[3], 'used', whole(cost))
  keep_budget(lifetime)
end
return 1
)lua";

constexpr std::string_view kRenew = R"lua(
local id, lease, runs, cost, lifetime = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if runs > 0 then run(id, lease) end
if cost > 0 then
  hold(id, cost, lease)
  keep_budget(lifetime)
end
return 1
)lua";

RedisScript MakeScript(std::string_view text) { return RedisScript(fmt::format("{}{}", kCommon, text)); }

}  // namespace

const RedisScript& AcquireScript() {
  static const RedisScript script = MakeScript(kAcquire);
  return script;
}

const RedisScript& SettleScript() {
  static const RedisScript script = MakeScript(kSettle);
  return script;
}

const RedisScript& RenewScript() {
  static const RedisScript script = MakeScript(kRenew);
  return script;
}

}  // namespace autoglm::guard
