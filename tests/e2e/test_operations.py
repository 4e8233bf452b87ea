"""What an operator relies on: health, metrics, a clean end, start time, idle cost, memory."""
import json
import time
from concurrent.futures import ThreadPoolExecutor

from serving import wait_until

# Fast enough for people on a busy test machine; bench/start_time.py measures the real figure.
FIRST_TOKEN_LIMIT_S = 1.5
IDLE_CPU_SHARE_LIMIT = 0.02
MEGABYTE = 1 << 20

CHAT = {"model": "default", "messages": [{"role": "user", "content": "Tell me about the sea."}], "temperature": 0, "stream": True}


def test_health_ready_and_version_answer(server):
    assert server.request("GET", "/health")[0] == 200
    assert server.request("GET", "/ready")[0] == 200
    status, _, body = server.request("GET", "/version")
    assert status == 200
    assert json.loads(body)["version"]


def test_the_start_message_has_the_address_and_a_curl_line(server):
    assert wait_until(lambda: "curl" in server.stdout, 5)
    assert server.url in server.stdout


def test_metrics_are_prometheus_text_and_count_requests(server):
    server.post("/v1/chat/completions", CHAT | {"max_tokens": 4})
    before = server.metrics()
    server.post("/v1/chat/completions", CHAT | {"max_tokens": 4, "ignore_eos": True})
    after = server.metrics()
    status, headers, body = server.request("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain")
    for histogram in ("time_to_first_token", "time_per_output_token", "request_queue_time", "request_prefill_time",
                      "request_decode_time", "e2e_request_latency"):
        name = f"autoglm_{histogram}_seconds"
        assert f"# TYPE {name} histogram" in body.decode()
        assert after[name + "_count"] >= 1
    assert after["autoglm_e2e_request_latency_seconds_count"] == before["autoglm_e2e_request_latency_seconds_count"] + 1
    assert after["autoglm_generation_tokens_total"] == before["autoglm_generation_tokens_total"] + 4


def test_sigterm_lets_the_running_stream_end_and_then_exits_with_0(start_server):
    server = start_server()
    stream = server.client().chat.completions.create(**CHAT, max_tokens=300, extra_body={"ignore_eos": True})
    chunks = iter(stream)
    next(chunks)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(lambda: list(chunks))
        server.terminate()
        assert wait_until(lambda: server.request("GET", "/ready")[0] == 503, 5)
        status, _, body = server.post("/v1/chat/completions", CHAT)
        assert status == 503
        assert json.loads(body)["error"]["message"]
        assert not rest.done()
        last = rest.result(60)
    assert [c.choices[0].finish_reason for c in last if c.choices][-1] == "length"
    assert server.wait() == 0


def test_sigterm_lets_what_waits_in_line_be_answered_while_the_server_says_that_it_is_not_ready(start_server):
    server = start_server("--max-running", "1", "--drain-timeout", "120")
    body = CHAT | {"stream": False, "ignore_eos": True, "max_tokens": 60}
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.post, "/v1/chat/completions", body) for _ in range(3)]
        assert wait_until(lambda: server.metrics()["autoglm_num_requests_waiting"] == 2, 10)
        server.terminate()
        assert wait_until(lambda: server.request("GET", "/ready")[0] == 503, 5)
        assert server.request("GET", "/health")[0] == 200
        status, headers, _ = server.post("/v1/chat/completions", body)
        assert (status, "retry-after" in headers) == (503, True)
        assert not all(answer.done() for answer in answers)
        answers = [answer.result(120) for answer in answers]
    assert [status for status, _, _ in answers] == [200] * 3
    assert len({json.loads(answer)["choices"][0]["message"]["content"] for _, _, answer in answers}) == 1
    assert server.wait() == 0


def test_a_drain_longer_than_its_limit_is_cut_short(start_server):
    server = start_server("--drain-timeout", "1")
    stream = server.client().chat.completions.create(**CHAT, max_tokens=5000, extra_body={"ignore_eos": True})
    next(iter(stream))
    start = time.monotonic()
    server.terminate()
    assert server.wait() == 0
    assert time.monotonic() - start < 5


def test_a_second_signal_ends_at_once(start_server):
    server = start_server()
    stream = server.client().chat.completions.create(**CHAT, max_tokens=5000, extra_body={"ignore_eos": True})
    next(iter(stream))
    server.terminate()
    assert wait_until(lambda: server.request("GET", "/ready")[0] == 503, 5)
    start = time.monotonic()
    server.terminate()
    server.wait()
    assert time.monotonic() - start < 3


def test_the_first_token_comes_soon_after_the_start(start_server):
    best = min(seconds_to_first_token(start_server) for _ in range(3))
    print(f"exec to first token: {best * 1000:.0f} ms")
    assert best < FIRST_TOKEN_LIMIT_S


def seconds_to_first_token(start_server):
    server = start_server()
    stream = server.client().chat.completions.create(**CHAT, max_tokens=2)
    next(c for c in stream if c.choices and c.choices[0].delta.content)
    return time.monotonic() - server.started


def test_an_idle_server_uses_no_processor(server):
    server.post("/v1/chat/completions", CHAT | {"max_tokens": 4})
    time.sleep(0.5)
    before = server.cpu_seconds()
    time.sleep(2)
    assert (server.cpu_seconds() - before) / 2 <= IDLE_CPU_SHARE_LIMIT


def test_memory_stays_within_file_plus_kv_plus_150_megabytes(start_server, model):
    server = start_server("--kv-memory", "128M")
    with ThreadPoolExecutor(16) as pool:
        body = CHAT | {"max_tokens": 64, "stream": False, "ignore_eos": True}
        list(pool.map(lambda i: server.post("/v1/chat/completions", body | {"messages": [{"role": "user", "content": f"{i} word " * 150}]}),
                      range(32)))
    limit = model.stat().st_size + (128 + 150) * MEGABYTE
    assert server.memory_bytes() <= limit, f"{server.memory_bytes() / MEGABYTE:.0f} MB"


def test_a_port_in_use_is_said_so(server, autoglm, model):
    result = autoglm("serve", model, "--port", server.port)
    assert result.returncode != 0
    assert str(server.port) in result.stderr


def test_the_second_start_maps_what_the_first_prepared_and_answers_the_same(start_server, tmp_path):
    prepared = tmp_path / "prepared"
    answers = []
    for _ in range(2):
        server = start_server("--prepared-cache", str(prepared), "--kv-memory", "64M")
        answers.append(server.client().chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Name three colors."}], max_tokens=16, temperature=0).choices[0].message.content)
        deadline = time.monotonic() + 30
        while not list(prepared.glob("*.weights")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.stop()
    assert answers[0] == answers[1]
    assert len(list(prepared.iterdir())) == 1


def test_loading_and_unloading_stand_in_the_log(start_server):
    server = start_server("--kv-memory", "64M")
    name = server.client().models.list().data[0].id
    assert server.post(f"/v1/models/{name}/unload", "")[0] == 200
    server.stop()
    assert [e["model"] for e in server.log_events("model_loaded")] == [name]
    assert [e["evicted"] for e in server.log_events("model_unloaded")] == [False]
