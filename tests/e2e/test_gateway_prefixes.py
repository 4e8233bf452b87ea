"""Routing by what replicas have in their prefix caches, as they say themselves."""
import json

import pytest
from gateway_process import Gateway
from serving import Server, free_port, wait_until

STORY = "The ferry crossed the sound twice a day, and nobody on board ever read the timetable. " * 12


class Replica(Server):
    def __init__(self, binary, model, folder, name):
        self.events, self.replay = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        super().__init__(binary, model, folder / f"{name}.log", "--threads", "1", "--kv-events", self.events, "--kv-events-replay",
                         self.replay)


@pytest.fixture
def fleet(binary, model, tmp_path):
    replicas = [Replica(binary, model, tmp_path, f"replica{i}") for i in range(3)]
    upstreams = "".join(f"      - {{name: r{i}, url: {r.url}, engine: autoglm, kv_events: '{r.events}', kv_events_replay: '{r.replay}'}}\n"
                        for i, r in enumerate(replicas))
    config = (f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nroutes:\n  - name: main\n    policy: prefix_aware\n    tokenizer: {model}\n"
              f"    upstreams:\n{upstreams}")
    gateway = Gateway(binary, tmp_path, config)
    yield gateway, replicas
    gateway.stop()
    for replica in replicas:
        replica.stop()


def known_blocks(gateway):
    return json.loads(gateway.admin("GET", "/gateway/status")[2])["routes"][0]["known_prefix_blocks"]


def chat(text):
    return {"model": "default", "messages": [{"role": "user", "content": text}], "max_tokens": 1, "temperature": 0}


def test_prompts_go_where_others_than_the_gateway_left_them(fleet):
    gateway, replicas = fleet
    assert wait_until(lambda: known_blocks(gateway) == 0, 10)
    # Past the gateway, which cannot have seen it: it knows by the replicas' word alone.
    for i, replica in enumerate(replicas):
        assert replica.post("/v1/chat/completions", chat(f"Ferry {i}. {STORY}"))[0] == 200
    assert wait_until(lambda: known_blocks(gateway) >= 3 * 7, 10)
    for i in (2, 0, 1, 1):
        _, headers, body = gateway.post("/v1/chat/completions", chat(f"Ferry {i}. {STORY} And then?"))
        assert headers["x-gateway-upstream"] == f"r{i}"
        usage = json.loads(body)["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > 0.8 * usage["prompt_tokens"]
    assert gateway.post("/v1/completions", {"model": "default", "prompt": STORY, "max_tokens": 1})[0] == 200
    matched = gateway.metric_lines("autoglm_gw_prefix_match_ratio_sum")
    assert float(matched[0].split()[-1]) > 3


def test_what_a_replica_forgot_is_no_reason_to_go_there(fleet):
    gateway, replicas = fleet
    for number in range(2):
        assert gateway.post("/v1/chat/completions", chat(f"{number}: {STORY}"))[0] == 200
    assert wait_until(lambda: known_blocks(gateway) > 0, 10)
    for replica in replicas:
        replica.process.kill()
        replica.wait()
    assert wait_until(lambda: known_blocks(gateway) == 0, 10)
    for replica in replicas:
        replica.stop = lambda: None


def test_prompts_that_cannot_be_known_are_guessed_from_text(fleet):
    gateway, _ = fleet
    image = chat([{"type": "image_url", "image_url": {"url": "data:,"}}])
    assert gateway.post("/v1/chat/completions", image)[0] in (400, 501)  # the replica's word
    assert gateway.post("/v1/embeddings", {"model": "default", "input": "Hello"})[0] in (400, 404, 501)
    assert gateway.post("/v1/chat/completions", chat("Hello"))[0] == 200
