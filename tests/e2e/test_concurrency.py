"""Many clients at once, and clients that leave."""
import asyncio
import json
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

CLIENTS = 64
THINGS = "rivers mountains bread music winter trains clocks salt maps birds glass paper rain bridges cities stars".split()


def question(index):
    thing, filler = THINGS[index % len(THINGS)], "please " * (index % 11)
    return [{"role": "user", "content": f"{filler}Write {1 + index % 4} short sentences about {thing}, item {index}."}]


async def ask_all(url, at_once):
    """The answers to all questions, at most `at_once` of them under way at a time."""
    gate = asyncio.Semaphore(at_once)
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=300) as client:

        async def ask(index):
            async with gate:
                stream = await client.chat.completions.create(model="default", messages=question(index), temperature=0,
                                                              max_tokens=8 + index % 17, stream=True)
                return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        return await asyncio.gather(*[ask(i) for i in range(CLIENTS)])


def test_64_clients_at_once_get_the_answers_they_get_alone(server):
    together = asyncio.run(ask_all(server.url, CLIENTS))
    alone = asyncio.run(ask_all(server.url, 1))
    assert together == alone
    assert len(set(alone)) > CLIENTS // 2
    server.wait_for_metric("autoglm_num_requests_running", 0)


def test_more_requests_than_fit_at_once_wait_and_are_all_answered(start_server):
    server = start_server("--max-running", "4", "--kv-memory", "48M")
    answers = asyncio.run(ask_all(server.url, CLIENTS))
    assert all(answers)
    assert server.metrics()["autoglm_num_requests_waiting"] == 0


def test_a_full_queue_answers_429_with_retry_after(start_server):
    server = start_server("--max-running", "1", "--max-queue", "1")
    long = {"model": "default", "messages": question(0), "max_tokens": 3000, "stream": True, "extra_body": {"ignore_eos": True}}
    running = server.client().chat.completions.create(**long)
    next(iter(running))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: server.client().chat.completions.create(**long).close())
        server.wait_for_metric("autoglm_num_requests_waiting", 1)
        with pytest.raises(openai.RateLimitError) as error:
            server.client().chat.completions.create(**long)
        assert int(error.value.response.headers["retry-after"]) >= 1
        running.close()
        waiting.result(60)
    server.wait_for_metric("autoglm_num_requests_running", 0)
    server.wait_for_metric("autoglm_num_requests_waiting", 0)


def test_a_long_prompt_does_not_stall_a_running_stream(server):
    """Between two tokens of a stream lies at most a chunk of another's prompt, never the whole of it."""
    client = server.client()
    words = " ".join(f"{THINGS[i % len(THINGS)]} {i}" for i in range(900))
    with ThreadPoolExecutor(1) as pool:
        stream = client.chat.completions.create(model="default", messages=question(1), max_tokens=400, temperature=0, stream=True,
                                                extra_body={"ignore_eos": True})
        chunks = iter(stream)
        next(chunks)
        long = pool.submit(server.client().chat.completions.create, model="default", max_tokens=1,
                           messages=[{"role": "user", "content": words}])
        during = 0
        for _ in chunks:
            during += not long.done()
        assert long.result(120).usage.prompt_tokens > 1500
    assert during >= 5


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=30)


def chat_bytes(**options):
    body = json.dumps({"model": "default", "messages": question(0), "stream": True, "max_tokens": 2000, "ignore_eos": True} | options)
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def reset(connection):
    """Closes with a reset instead of a polite end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_vanished_clients_leave_nothing_behind(server, leave, stream):
    before = server.metrics()
    connections = [connect(server) for _ in range(8)]
    for connection in connections:
        connection.sendall(chat_bytes(stream=stream))
    for connection in connections[:4]:
        if stream:
            connection.recv(1)
    for connection in connections:
        leave(connection)
    server.wait_for_metric("autoglm_num_requests_running", 0)
    server.wait_for_metric("autoglm_num_requests_waiting", 0)
    assert server.metrics()["autoglm_kv_cache_usage_perc"] <= before["autoglm_kv_cache_usage_perc"] + 0.5


def test_a_client_that_reads_nothing_does_not_hold_up_the_others(server):
    lazy = [connect(server) for _ in range(4)]
    for connection in lazy:
        connection.sendall(chat_bytes(max_tokens=300))
    answer = server.client().chat.completions.create(model="default", messages=question(2), max_tokens=16, temperature=0)
    assert answer.choices[0].message.content
    for connection in lazy:
        connection.close()
    server.wait_for_metric("autoglm_num_requests_running", 0)


def test_drafts_change_no_answer(start_server):
    """A text that repeats itself is drafted, and comes out as it does without drafts."""
    prompt = "The list: apple, pear, plum, cherry, quince. " * 4 + "The list: apple,"
    drafting, plain = start_server(), start_server("--speculation", "off")
    for sampling in ({"temperature": 0}, {"temperature": 0.7, "seed": 3}):
        body = {"model": "default", "prompt": prompt, "max_tokens": 80, "ignore_eos": True, **sampling}
        answers = [json.loads(server.post("/v1/completions", body)[2])["choices"][0]["text"] for server in (drafting, plain)]
        assert answers[0] == answers[1]
    # How many depends on what drafting costs at the moment, and on the last bits of the path.
    assert drafting.metrics()["autoglm_spec_decode_num_accepted_tokens_total"] >= 5
    assert plain.metrics()["autoglm_spec_decode_num_draft_tokens_total"] == 0


def test_high_priority_goes_before_what_waits_and_takes_the_place_of_what_runs(start_server):
    server = start_server("--max-running", "2")
    client = server.client()

    def ask(index, priority, max_tokens):
        answer = client.chat.completions.create(model="default", messages=question(index), temperature=0, max_tokens=max_tokens,
                                                extra_body={"priority": priority, "ignore_eos": True})
        done.append(priority)
        return answer.choices[0].message.content

    done = []
    with ThreadPoolExecutor(8) as pool:
        low = [pool.submit(ask, index, 1, 400) for index in range(6)]
        server.wait_for_metric("autoglm_num_requests_running", 2)
        server.wait_for_metric("autoglm_num_requests_waiting", 4)
        urgent = pool.submit(ask, 7, 0, 10)
        urgent.result()
        assert done.count(1) <= 1, "it waited for those that were there before"
        answers = [answer.result() for answer in low]
    assert done[-1] == 1 and len(done) == 7
    assert server.metrics()["autoglm_num_preemptions_total"] >= 1
    assert answers == [ask(index, 0, 400) for index in range(6)], "preempted answers go on where they were"


def test_a_priority_out_of_range_is_refused(server):
    with pytest.raises(openai.BadRequestError) as error:
        server.client().chat.completions.create(model="default", messages=question(0), max_tokens=1, extra_body={"priority": 101})
    assert error.value.body["param"] == "priority"
