#pragma once

#include "guard/redis_script.h"

namespace autoglm::guard {

// What gateways do with the limits they share, each as one step of Redis. All have the same four keys:
//   1 rate     hash: at (us), and of requests and tokens what is taken of the bucket and its limit; as TokenBucket, with
//              microseconds in place of nanoseconds
//   2 running  sorted set: requests that run, by when (us) their place comes back if nobody renews it
//   3 budget   hash: used, held, and hold:ID for what one request holds; millionths
//   4 holds    sorted set: of these, by when they come back
// Times are those of Redis. Numbers are whole; beyond 2^53, which no sensible limit reaches, they are rounded.

// Arguments: id, requests a minute, tokens a minute, reserve in tokens, requests at the same time, lease (us), limit of the
// budget, its reserve, its lifetime (ms, 0: for good), what is known to be used of it.
// Answers: what refuses (0 nothing, 1 requests at the same time, 2 requests, 3 tokens, 4 budget), wait (us), then of requests and
// of tokens what remains and the time until all of it is there again (us), then of the budget what is used and held.
const RedisScript& AcquireScript();

// Arguments: id, requests a minute, tokens a minute, tokens to give back (below zero: to take), what is to be paid of the
// budget, its lifetime. For a request that is over; what it held is free.
const RedisScript& SettleScript();

// Arguments: id, lease (us), whether it has a place among the running (0 or 1), what it holds of the budget, its lifetime. What
// had come back, or was lost with Redis' memory, is held again.
const RedisScript& RenewScript();

}  // namespace autoglm::guard
