"""Limits, budgets and the audit log of the gateway, however many ask at once and whatever becomes of Redis or the disk."""
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from access_config import gateway_config, key_entries
from gateway_process import Gateway
from raw_http import is_error, seconds
from recording_upstream import RecordingUpstream
from redis_process import Redis
from serving import wait_until

NUM_AT_ONCE = 64
# Of a request of 30 bytes of messages the gateway reckons with 11 tokens; the upstream says it used 8 with the answer.
CHAT = {"model": "small", "messages": [{"role": "user", "content": ""}]}
PROMPT_TOKENS = 11
# None of the limits fills noticeably while a test runs.
POLICIES = {
    "requests": "{tenant: acme, requests_per_minute: 20}",
    "tokens": "{tenant: acme, tokens_per_minute: 1000}",
    "places": "{tenant: acme, max_concurrent: 4}",
    "budget": "{tenant: acme, budget: 100, budget_period: total}",
    "month": "{tenant: acme, budget: 100}",
    "free": "{tenant: acme}",
}


@pytest.fixture
def upstream():
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture
def redis():
    redis = Redis()
    yield redis
    redis.stop()


@pytest.fixture
def start(binary, upstream, tmp_path):
    """start(): a gateway with the keys of POLICIES; start(top): with more of a configuration."""
    started = []

    def start_one(top="", folder=None):
        if folder is None:
            folder = tmp_path / f"gateway{len(started)}"
            folder.mkdir()
        started.append(Gateway(binary, folder, gateway_config(upstream, top + key_entries(POLICIES))))
        return started[-1]

    yield start_one
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.stop()


def redis_lines(redis, when_unreachable="local", timeout="2s"):
    """With time enough for a machine that is busy with other things."""
    return f"redis: {{address: '127.0.0.1:{redis.port}', timeout: {timeout}, when_unreachable: {when_unreachable}}}\n"


def ask(gateway, key, path="/v1/chat/completions", **members):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return gateway.request("POST", path, json.dumps(CHAT | members), headers)


def ask_at_once(gateways, key, count=NUM_AT_ONCE, **members):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda i: ask(gateways[i % len(gateways)], key, **members), range(count)))


def granted_of(answers):
    """How many were answered, where all others are proper refusals by a limit."""
    for status, headers, body in answers:
        assert status in (200, 429), body
        if status == 429:
            assert is_error(body) and int(headers["retry-after"]) >= 1
    return sum(status == 200 for status, _, _ in answers)


def most_since(begun):
    """Requests of the key "requests" that may have passed: a full bucket, and what has come in since."""
    return 21 + int((time.monotonic() - begun) * 20 / 60)


def use_up(upstream, num_tokens):
    """Each request from now on."""
    upstream.usage = {"prompt_tokens": num_tokens, "completion_tokens": 0, "total_tokens": num_tokens}


# --- limits, of one gateway or of several that share them

@pytest.mark.parametrize("num_gateways", [1, 2])
def test_no_more_requests_pass_than_a_minute_has(start, upstream, request, num_gateways):
    top = redis_lines(request.getfixturevalue("redis")) if num_gateways > 1 else ""
    gateways = [start(top) for _ in range(num_gateways)]
    begun = time.monotonic()
    granted = granted_of(ask_at_once(gateways, "requests"))
    assert 20 <= granted <= most_since(begun)
    assert len(upstream.take()) == granted
    refused = NUM_AT_ONCE - granted
    assert sum(gateway.num_refused("limit") for gateway in gateways) == refused
    assert sum(len(gateway.metric_lines("autoglm_gw_ratelimit_total")) for gateway in gateways) >= 1


@pytest.mark.parametrize("num_gateways", [1, 2])
def test_tokens_are_set_aside_while_a_request_runs_and_given_back_after(start, upstream, request, num_gateways):
    top = redis_lines(request.getfixturevalue("redis")) if num_gateways > 1 else ""
    gateways = [start(top) for _ in range(num_gateways)]
    upstream.delay_s = 1.5
    granted = granted_of(ask_at_once(gateways, "tokens", max_tokens=189))  # 200 with the prompt
    assert granted >= 1 and upstream.max_running <= 5
    upstream.delay_s = 0
    status, headers, _ = ask(gateways[-1], "tokens", max_tokens=1)
    assert status == 200
    used = 8 * granted + PROMPT_TOKENS + 1
    assert int(headers["x-ratelimit-remaining-tokens"]) >= 1000 - used, "what was not used is back"


@pytest.mark.parametrize("num_gateways", [1, 2])
def test_no_more_requests_run_at_once_than_a_key_has_places(start, upstream, request, num_gateways):
    top = redis_lines(request.getfixturevalue("redis")) if num_gateways > 1 else ""
    gateways = [start(top) for _ in range(num_gateways)]
    upstream.delay_s = 0.1
    granted = granted_of(ask_at_once(gateways, "places"))
    assert granted >= 4 and upstream.max_running <= 4
    # Given back, by every kind of ending.
    upstream.delay_s = 0
    assert wait_until(lambda: granted_of(ask_at_once(gateways, "places", 4)) == 4, 5)


@pytest.mark.parametrize("num_gateways", [1, 2])
def test_requests_side_by_side_never_spend_the_same_money(start, upstream, request, num_gateways):
    top = redis_lines(request.getfixturevalue("redis")) if num_gateways > 1 else ""
    gateways = [start(top) for _ in range(num_gateways)]
    upstream.delay_s = 0.5
    answers = ask_at_once(gateways, "budget", max_tokens=22)  # 33 with the prompt, and the budget is 100
    assert {status for status, _, _ in answers} == {200, 429}
    assert upstream.max_running <= 3
    upstream.delay_s = 0
    while ask(gateways[0], "budget", max_tokens=1)[0] == 200:
        pass
    upstream.take()
    assert {ask(gateway, "budget", max_tokens=1)[0] for gateway in gateways} == {429}
    assert upstream.take() == []


@pytest.mark.parametrize("key", ["tokens", "budget"])
@pytest.mark.parametrize("members", [{"max_tokens": 2**63 - 1}, {"max_tokens": 2**62, "n": 2}, {"max_tokens": 2**62, "n": 4}, {"max_tokens": 2**54, "n": 1024},
                                     {"max_tokens": 1, "max_completion_tokens": 2**40}, {"max_tokens": 5, "best_of": 1024}], ids=str)
def test_no_number_of_tokens_is_so_large_that_it_is_small(start, upstream, members, key):
    """The first request leaves half of what there is; the second one asks for more than all of it."""
    gateway = start()
    use_up(upstream, 500 if key == "tokens" else 50)
    assert ask(gateway, key, max_tokens=1)[0] == 200
    upstream.take()
    status, _, body = ask(gateway, key, **members)
    assert status in (400, 429) and is_error(body)
    assert upstream.take() == []
    assert ask(gateway, key, max_tokens=1)[0] == 200, "what is left is there for less"


@pytest.mark.parametrize("body", ['{"model":"small"}', '{"model":"small","text":"tell me","sampling_params":{"max_new_tokens":9999}}', '{"model":"' + "m" * 1100 + '"}'],
                         ids=["no prompt", "another API's", "long model"])
def test_a_budget_that_is_used_up_lets_no_request_pass(start, upstream, body):
    gateway = start("prices: [{model: '*', input_per_million: 1000000, output_per_million: 1000000}]\n")
    while ask(gateway, "budget", max_tokens=1)[0] == 200:
        pass
    upstream.take()
    for path in ("/v1/completions", "/generate", "/v1/responses"):
        status, _, answer = gateway.request("POST", path, body, {"Content-Type": "application/json", "Authorization": "Bearer budget"})
        assert status in (400, 404, 429) and is_error(answer)
    assert upstream.take() == []


def test_refusals_that_waiting_does_not_help_name_no_time(start, upstream):
    gateway = start()
    use_up(upstream, 100)
    for key in ("budget", "month"):
        assert ask(gateway, key, max_tokens=1)[0] == 200
    status, headers, body = ask(gateway, "budget", max_tokens=1)
    assert status == 429 and is_error(body) and "retry-after" not in headers
    status, headers, _ = ask(gateway, "month", max_tokens=1)
    assert status == 429 and 1 <= int(headers["retry-after"]) <= 31 * 86_400


# --- Redis goes and comes

@pytest.mark.parametrize("when_unreachable", ["local", "closed", "open"])
@pytest.mark.parametrize("end", ["killed", "frozen"])
def test_without_redis_it_goes_as_configured_and_comes_back_by_itself(start, redis, end, when_unreachable):
    gateway = start(redis_lines(redis, when_unreachable, "200ms"))
    assert wait_until(lambda: ask(gateway, "free")[0] == 200 and ask(gateway, "places")[0] == 200, 10)
    redis.kill() if end == "killed" else redis.freeze()
    slowest_s, answers, begun = 0, [], time.monotonic()
    for _ in range(30):
        slowest_s = max(slowest_s, seconds(lambda: answers.append(ask(gateway, "requests"))))
    assert slowest_s < 2, "nobody waits for a Redis that is away"
    statuses = [status for status, _, _ in answers]
    if when_unreachable == "closed":
        assert statuses == [503] * 30
        assert all(int(headers["retry-after"]) >= 1 and is_error(body) for _, headers, body in answers)
        assert gateway.num_refused("limit") == 30
    else:
        assert statuses.count(200) == 30 if when_unreachable == "open" else 20 <= statuses.count(200) <= most_since(begun)
    assert ask(gateway, "free")[0] == 200, "keys without limits need no Redis"
    redis.start() if end == "killed" else redis.thaw()
    # Redis has counted few of the thirty: its bucket has room, and is counted down by it again.
    assert wait_until(lambda: gateway.log_events("limits_recovered"), 15)
    begun = time.monotonic()
    assert 1 <= granted_of([ask(gateway, "requests") for _ in range(30)]) <= most_since(begun)


def test_a_redis_that_comes_back_empty_has_not_forgotten_budgets(start, redis, upstream):
    gateway = start(redis_lines(redis))
    use_up(upstream, 95)
    assert ask(gateway, "budget", max_tokens=1)[0] == 200
    assert ask(gateway, "budget", max_tokens=1)[0] == 429  # tells the gateway what Redis knows
    redis.kill()
    redis.start()
    ask(gateway, "budget", max_tokens=1)
    assert wait_until(lambda: gateway.log_events("limits_recovered") or not gateway.log_events("limits_problem"), 15)
    assert ask(gateway, "budget", max_tokens=1)[0] == 429


# --- budgets

@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_what_a_budget_has_used_survives(start, upstream, tmp_path, end):
    database = f"budgets: {{database: {tmp_path / 'budgets.db'}}}\n"
    gateway = start(database)
    use_up(upstream, 95)
    assert ask(gateway, "budget", max_tokens=1)[0] == 200
    if end == "stopped":
        gateway.stop()
    else:
        time.sleep(2)  # it is written every second
        gateway.process.kill()
        gateway.process.wait()
    again = start(database)
    assert ask(again, "budget", max_tokens=1)[0] == 429


# --- the audit log

def audit_lines(path):
    return [json.loads(line) for line in path.read_bytes().decode().splitlines()]


def test_every_request_has_a_line_and_every_refusal_its_reason(start, upstream, tmp_path):
    path = tmp_path / "audit.jsonl"
    gateway = start(f"audit_log: {path}\n")
    long_name = "m" * 500_000
    wanted = [
        (lambda: ask(gateway, "free"), 200, None),
        (lambda: gateway.request("GET", "/v1/models", headers={"Authorization": "Bearer free"}), 200, None),
        (lambda: ask(gateway, "nobody"), 401, "authentication"),
        (lambda: gateway.request("GET", "/v1/models"), 401, "authentication"),
        (lambda: ask(gateway, "free", path="/v1/%2e%2e/x"), 400, "path"),
        (lambda: ask(gateway, "free", max_tokens=-1), 400, "invalid_request"),
        (lambda: ask(gateway, "free", model=long_name), None, ...),
        (lambda: ask(gateway, "free", path="/v1/" + "y" * 30_000), 200, None),
    ]
    answered = [send()[0] for send, _, _ in wanted]
    assert wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") == len(wanted), 5), audit_lines(path)
    lines = audit_lines(path)
    for line, status, (_, expected, reason) in zip(lines, answered, wanted):
        assert line["status"] == status and expected in (status, None), line
        assert reason is ... or line.get("refusal") == reason
        assert line["request_id"] and line["peer"].startswith("127.0.0.1:") and line["method"] and line["path"]
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert all(len(line) < 4096 for line in text.splitlines()), "clients do not decide how long a line gets"
    assert "nobody" not in text and '"content"' not in text


@contextmanager
def fifo_that_nobody_reads(path):
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # is there, and never reads
    try:
        yield path
    finally:
        os.close(end)


def answers_are_quick(gateway, count=400):
    """400 lines are more than a pipe holds."""
    slowest = []

    def ask_on(_):
        slowest.append(max(seconds(lambda: ask(gateway, "free")) for _ in range(count // 4)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_on, range(4)))
    assert max(slowest) < 5


def test_a_disk_that_is_full_costs_lines_and_no_time(start):
    gateway = start("audit_log: /dev/full\n")
    answers_are_quick(gateway)
    assert wait_until(lambda: gateway.metric_lines("autoglm_gw_audit_lines_dropped_total") == ["autoglm_gw_audit_lines_dropped_total 400"], 5)


def test_a_pipe_that_nobody_reads_delays_nobody(start, tmp_path):
    with fifo_that_nobody_reads(tmp_path / "audit") as path:
        gateway = start(f"audit_log: {path}\n")
        answers_are_quick(gateway)
        gateway.stop()


def test_a_pipe_that_nobody_has_opened_is_refused_at_the_start(start, tmp_path):
    """It would hold up the start, or a reload, for ever."""
    os.mkfifo(tmp_path / "audit")
    opened = []
    rescue = threading.Timer(5, lambda: opened.append(os.open(tmp_path / "audit", os.O_RDONLY | os.O_NONBLOCK)))
    rescue.start()
    try:
        with pytest.raises(RuntimeError, match="audit"):
            start(f"audit_log: {tmp_path / 'audit'}\n")
        assert not opened
    finally:
        rescue.cancel()
        for end in opened:
            os.close(end)
