"""Prefixes on the disk: a conversation goes on where it was after the server was killed."""
import signal

import pytest
from serving import Server, wait_until

STORY = "The lighthouse keeper wrote every evening into a thick blue book what the sea had done that day. " * 25


@pytest.fixture
def disk(binary, model, tmp_path):
    """start(folder) -> a server that keeps prefixes there; whoever still runs at the end must end cleanly."""
    servers = []

    def start(folder=tmp_path / "kv"):
        log = tmp_path / f"log{len(servers)}.json"
        servers.append(Server(binary, model, log, "--kv-memory", "256M", "--kv-disk", str(folder)))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def kill(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(10)


def talk(server, messages):
    answer = server.client().chat.completions.create(model="default", messages=messages, max_tokens=40, temperature=0)
    return answer.choices[0].message.content, answer.usage


def wait_until_written(server, num_blocks):
    name = "autoglm_kv_disk_written_blocks_total"
    assert wait_until(lambda: server.metrics()[name] >= num_blocks, 20), server.metrics()[name]


def test_a_conversation_goes_on_after_the_server_was_killed(disk):
    first = disk()
    messages = [{"role": "user", "content": STORY + "What did the keeper write?"}]
    answer, usage = talk(first, messages)
    assert usage.prompt_tokens_details.cached_tokens == 0
    wait_until_written(first, (usage.prompt_tokens + usage.completion_tokens - 1) // 32)
    kill(first)

    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Why every evening?"}]
    second = disk()
    with_disk, usage = talk(second, messages)
    assert usage.prompt_tokens_details.cached_tokens >= usage.prompt_tokens - 96
    metrics = second.metrics()
    assert metrics["autoglm_kv_disk_read_blocks_total"] >= 15
    assert metrics["autoglm_kv_disk_stored_bytes"] > 0
    assert metrics["autoglm_kv_disk_damaged_blocks_total"] == 0

    without_disk, usage = talk(disk("off"), messages)
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert without_disk == with_disk


def test_damaged_files_change_no_answer(disk, tmp_path):
    messages = [{"role": "user", "content": STORY + "Who wrote?"}]
    first = disk()
    answer, usage = talk(first, messages)
    wait_until_written(first, usage.prompt_tokens // 32)
    kill(first)
    for path in (tmp_path / "kv").rglob("*.kv"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    second = disk()
    again, usage = talk(second, messages)
    assert again == answer
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert second.metrics()["autoglm_kv_disk_damaged_blocks_total"] > 0


def test_the_folder_may_vanish_while_the_server_runs(disk, tmp_path):
    server = disk()
    messages = [{"role": "user", "content": STORY + "Who wrote?"}]
    _, usage = talk(server, messages)
    wait_until_written(server, usage.prompt_tokens // 32)
    (tmp_path / "kv").rename(tmp_path / "elsewhere")
    before = server.metrics()["autoglm_kv_disk_written_blocks_total"]
    _, usage = talk(server, [{"role": "user", "content": "Once more. " + STORY}])
    wait_until_written(server, before + usage.prompt_tokens // 32)
    assert list((tmp_path / "kv").rglob("*.kv"))


def test_a_folder_that_cannot_be_used_is_said_at_the_start(binary, model, tmp_path, autoglm):
    (tmp_path / "kv").write_text("a file")
    done = autoglm("serve", model, "--port", "0", "--kv-disk", tmp_path / "kv")
    assert done.returncode != 0
    assert str(tmp_path / "kv") in done.stderr
