"""Beginnings of conversations that have names, and requests with terms of their own."""
import json
import time

import openai
import pytest
from serving import Server, wait_until

SYSTEM = {"role": "system", "content": "You are a careful assistant who answers in one short sentence. " * 20}


def post(server, path, body=None):
    status, headers, data = server.request("POST", path, json.dumps(body) if body is not None else "", {"Content-Type": "application/json"})
    return status, headers, json.loads(data)


def go_on(server, context, question="What is a river?", **options):
    return server.client().chat.completions.create(model="default", messages=[{"role": "user", "content": question}], max_tokens=8,
                                                   temperature=0, extra_body={"context": context} | options)


def test_context_gives_the_same_answer_as_its_messages_and_is_found_in_the_cache(server, client):
    status, _, context = post(server, "/v1/contexts", {"messages": [SYSTEM], "ttl": 600})
    assert status == 200 and context["object"] == "context" and context["tokens"] > 200
    answer = go_on(server, context["id"])
    assert answer.usage.prompt_tokens_details.cached_tokens > 200
    whole = client.chat.completions.create(model="default", messages=[SYSTEM, {"role": "user", "content": "What is a river?"}], max_tokens=8,
                                           temperature=0)
    assert answer.choices[0].message.content == whole.choices[0].message.content
    status, _, fork = post(server, f"/v1/contexts/{context['id']}/fork", {"ttl": 60})
    assert status == 200 and fork["id"] != context["id"]
    status, _, gone = server.request("DELETE", f"/v1/contexts/{context['id']}")
    assert status == 200 and json.loads(gone)["deleted"]
    with pytest.raises(openai.NotFoundError):
        go_on(server, context["id"])
    assert go_on(server, fork["id"]).usage.prompt_tokens_details.cached_tokens > 200


def test_context_stays_in_memory_while_others_flood_it(start_server):
    server = start_server("--kv-memory", "96M", "--context", "2048")
    _, _, pinned = post(server, "/v1/contexts", {"messages": [SYSTEM]})
    _, _, loose = post(server, "/v1/contexts", {"messages": [{"role": "system", "content": "Other words. " * 100}], "pin": False})
    for i in range(12):
        server.client().completions.create(model="default", prompt=f"{i} flood " * 400, max_tokens=1)
    assert go_on(server, pinned["id"]).usage.prompt_tokens_details.cached_tokens > 200
    assert go_on(server, loose["id"]).usage.prompt_tokens_details.cached_tokens < 32


def test_context_survives_a_kill(binary, model, tmp_path, start_server):
    flags = ("--kv-disk", str(tmp_path / "kv"))
    server = Server(binary, model, tmp_path / "killed.json", *flags)
    _, _, context = post(server, "/v1/contexts", {"messages": [SYSTEM], "ttl": 600})
    status, _, _ = post(server, f"/v1/contexts/{context['id']}/save")
    assert status == 200
    deadline = time.monotonic() + 20
    while server.metrics()["autoglm_kv_disk_written_blocks_total"] < context["tokens"] // 32:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.process.kill()
    server.process.wait()
    again = start_server(*flags)
    assert json.loads(again.request("GET", f"/v1/contexts/{context['id']}")[2])["tokens"] == context["tokens"]
    assert go_on(again, context["id"]).usage.prompt_tokens_details.cached_tokens > 200


def test_expired_context_is_gone(start_server):
    server = start_server()
    _, _, context = post(server, "/v1/contexts", {"prompt": "Once upon a time", "ttl": 1})
    time.sleep(2.1)
    assert server.request("GET", f"/v1/contexts/{context['id']}")[0] == 404


def test_expired_context_gives_its_memory_back_by_itself(start_server):
    server = start_server()
    _, _, context = post(server, "/v1/contexts", {"messages": [SYSTEM], "ttl": 2})
    assert wait_until(lambda: server.metrics()["autoglm_kv_cache_usage_perc"] > 0, 1)
    server.wait_for_metric("autoglm_kv_cache_usage_perc", 0)


def test_timeout_that_cannot_be_met_is_refused_or_ends_with_504(start_server):
    server = start_server()
    body = json.dumps({"model": "default", "messages": [{"role": "user", "content": "Count to a thousand"}], "max_tokens": 2000, "ignore_eos": True})
    started = time.monotonic()
    status, _, _ = server.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-request-timeout": "0.5"})
    assert status in (503, 504)
    assert time.monotonic() - started < 3
    status, headers, _ = server.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-request-timeout": "0.001"})
    assert status in (503, 504)


def test_pressure_takes_steps_that_show(start_server):
    # Whatever there is to do is pressure enough.
    server = start_server("--degrade-max-tokens", "0.00001:3", "--degrade-n", "0.00001", "--degrade-refuse", "0.00001")
    client = server.client()
    client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Hi"}], max_tokens=30)  # what a token costs
    stream = client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Hello"}], max_tokens=400, stream=True,
                                            extra_body={"ignore_eos": True})
    next(iter(stream))
    body = json.dumps({"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "n": 3, "ignore_eos": True})
    status, headers, data = server.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    assert status == 200
    assert headers["x-degraded"] == "max_tokens, n"
    answer = json.loads(data)
    assert len(answer["choices"]) == 1 and answer["usage"]["completion_tokens"] == 3
    status, headers, _ = server.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-slo-class": "batch"})
    assert status == 503 and int(headers["retry-after"]) >= 1
    assert server.metrics()["autoglm_degraded_requests_total"] == 3
    stream.close()
