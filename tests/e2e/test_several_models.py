"""Several models behind one server, within a budget that does not hold them all."""
import concurrent.futures
import os
import random
import time

import openai
import pytest
from serving import Server

QUESTIONS = ["What is the capital of France?", "Name three colors.", "Count from one to five.", "Say hello."]
MEGABYTE = 1 << 20


@pytest.fixture
def three_models(binary, model, tmp_path):
    """Three files of one model, each with KV memory of its own, and room for two of them."""
    for name in ("a", "b", "c"):
        os.symlink(model, tmp_path / f"{name}.gguf")
    one = model.stat().st_size + 64 * MEGABYTE
    server = Server(binary, tmp_path / "a.gguf", tmp_path / "log.json", tmp_path / "b.gguf", tmp_path / "c.gguf", "--kv-memory", "64M",
                    "--memory-budget", str(int(2.2 * one)), "--context", "2048")
    yield server
    server.stop()


def ask(client, model, question):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], max_tokens=16, temperature=0)


def states(server):
    return {card["id"]: card["state"] for card in server.client().models.list().model_dump()["data"]}


def test_models_are_loaded_when_asked_for_and_listed(three_models):
    client = three_models.client()
    assert states(three_models) == {"a": "loaded", "b": "unloaded", "c": "unloaded"}
    answer = ask(client, "b", QUESTIONS[0])
    assert answer.model == "b"
    assert states(three_models) == {"a": "loaded", "b": "loaded", "c": "unloaded"}
    ask(client, "c", QUESTIONS[0])
    assert states(three_models) == {"a": "unloaded", "b": "loaded", "c": "loaded"}
    assert ask(client, "default", QUESTIONS[0]).model == "a"
    with pytest.raises(openai.NotFoundError):
        ask(client, "d", QUESTIONS[0])


def test_a_model_that_comes_back_knows_its_prefixes(three_models):
    client = three_models.client()
    question = "Tell me about lighthouses. " * 20
    first = ask(client, "a", question)
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    status, _, body = three_models.post("/v1/models/a/unload", "")
    assert status == 200 and b'"unloaded"' in body
    again = ask(client, "a", question)
    assert again.usage.prompt_tokens_details.cached_tokens > 64
    assert again.choices[0].message.content == first.choices[0].message.content


def test_random_requests_all_get_their_answers_within_the_budget(three_models):
    client = three_models.client()
    alone = {question: ask(client, "a", question).choices[0].message.content for question in QUESTIONS}
    budget = three_models.metrics()["autoglm_memory_budget_bytes"]
    end = time.monotonic() + 15
    most = 0

    def user(seed):
        rng, count = random.Random(seed), 0
        while time.monotonic() < end:
            question = rng.choice(QUESTIONS)
            assert ask(client, rng.choice("abc"), question).choices[0].message.content == alone[question]
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        users = [pool.submit(user, seed) for seed in range(6)]
        while any(not u.done() for u in users):
            most = max(most, three_models.metrics()["autoglm_memory_used_bytes"])
            time.sleep(0.05)
        counts = [u.result() for u in users]
    assert all(counts)
    assert most <= budget
    metrics = three_models.metrics()
    assert metrics["autoglm_model_evictions_total"] > 0
    assert metrics["autoglm_num_requests_running"] == metrics["autoglm_num_requests_waiting"] == 0


def test_a_second_precision_is_served_beside_the_first(start_server):
    server = start_server("--kv-memory", "64M")
    answer = ask(server.client(), "default@int8", QUESTIONS[0])
    assert answer.model.endswith("@int8")
    assert len(states(server)) == 2


def test_an_idle_model_is_unloaded_and_comes_back(start_server):
    server = start_server("--idle-unload", "1", "--kv-memory", "64M")
    client = server.client()
    ask(client, "default", QUESTIONS[0])
    deadline = time.monotonic() + 10
    while list(states(server).values()) != ["unloaded"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(client, "default", QUESTIONS[0]).choices[0].message.content


def test_yaml_names_the_models_and_what_is_theirs(binary, model, tmp_path):
    (tmp_path / "autoglm.yaml").write_text(f"""
models:
  - {{model: {model}, name: large, aliases: [assistant]}}
  - {{model: {model}, name: small, context: 256, kv_memory: 32M}}
kv_memory: 64M
""")
    server = Server(binary, f"--config={tmp_path / 'autoglm.yaml'}", tmp_path / "log.json")
    try:
        client = server.client()
        assert ask(client, "assistant", QUESTIONS[0]).model == "large"
        ask(client, "small", QUESTIONS[0])
        limits = {card["id"]: card["max_model_len"] for card in client.models.list().model_dump()["data"]}
        assert limits["small"] == 256 and limits["large"] == limits["assistant"] > 256
    finally:
        server.stop()
