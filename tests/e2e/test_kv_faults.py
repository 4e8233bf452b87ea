"""A disk tier in trouble: streams go on, answers stay the same, the counters say what happened, and the server ends in time."""
import concurrent.futures
import errno
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import threading
import time

import pytest
from faults import Faults, can_be_made
from serving import Server, wait_until

WORDS = "time year people way day man thing woman life child world school state family student group country problem hand".split()
PROMPTS = [" ".join(random.Random(seed).choice(WORDS) for _ in range(300)) + ". In short, this says that" for seed in range(6)]
FLAGS = ("--kv-memory", "32M")  # the prompts need twice that
TOKENS = 16


def ask(server, prompt):
    answer = server.client().completions.create(model="default", prompt=prompt, max_tokens=TOKENS, temperature=0,
                                                extra_body={"ignore_eos": True}, extra_headers={"X-Request-Timeout": "60"})
    return answer.choices[0].text


def longest_gap_s(server):
    """Between two texts of a stream."""
    stream = server.client().completions.create(model="default", prompt="Once upon a time", max_tokens=150, temperature=0, stream=True,
                                                extra_body={"ignore_eos": True})
    times = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].text]
    assert len(times) > 50
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def ask_all(server):
    """Two at once, so that one computes while another's prefix comes from the disk."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda prompt: ask(server, prompt), PROMPTS))


def count(server, name):
    metrics = server.metrics()
    return metrics.get(f"autoglm_kv_disk_{name}_blocks_total", metrics.get(f"autoglm_kv_disk_{name}_total"))


def stored_bytes(folder):
    return int(subprocess.run(["du", "-s", "--block-size=1", "--exclude=others", str(folder)], capture_output=True, check=False).stdout.split()[0])


def num_files(folder):
    return len(list(folder.rglob("*.kv")))


def wait_for_files(folder):
    assert wait_until(lambda: num_files(folder) >= 24, 20), num_files(folder)


@pytest.fixture(scope="module")
def expected(binary, model, tmp_path_factory):
    """What a server without the tier answers."""
    server = Server(binary, model, tmp_path_factory.mktemp("plain") / "log.json", *FLAGS)
    answers = ask_all(server)
    server.stop()
    assert all(answers)
    return answers


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kv"


@pytest.fixture(scope="module")
def shim_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shim")


@pytest.fixture
def faults(shim_folder, folder):
    if not can_be_made():
        pytest.skip("gcc is missing: it compiles the shim")
    return Faults(shim_folder, folder)


@pytest.fixture
def server(binary, model, tmp_path, folder, request):
    """With the tier; must end cleanly, and in time whatever the disk does."""
    environment = request.getfixturevalue("faults").environment if "faults" in request.fixturenames else None
    server = Server(binary, model, tmp_path / "log.json", *FLAGS, "--kv-disk", str(folder), env=environment)
    yield server
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 8


def test_a_full_disk(server, folder, faults, expected):
    faults.write_error = errno.ENOSPC
    assert ask_all(server) == expected
    assert wait_until(lambda: count(server, "errors") == 1, 5), "the first error stops writing"
    assert count(server, "dropped") > 1
    assert count(server, "written") == 0
    assert not list(folder.rglob("*.kv*"))


def test_files_that_may_not_grow(server, folder, expected):
    """ulimit -f: the system sends a signal beside the error."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    assert ask_all(server) == expected
    assert wait_until(lambda: count(server, "errors") == 1, 5)
    assert not list(folder.rglob("*.kv*"))


def test_a_slow_disk(server, folder, faults, expected):
    assert ask_all(server) == expected
    wait_for_files(folder)
    read = count(server, "read")
    faults.delay_ms = 600
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        gap_s = pool.submit(longest_gap_s, server)
        assert ask_all(server) == expected
        assert gap_s.result() < 0.55, "a step waited for the disk"
    assert faults.num_delayed > 0
    assert count(server, "read") - read < 10, "reading is given up"


def test_a_folder_that_is_deleted(server, folder, expected):
    assert ask_all(server) == expected
    wait_for_files(folder)
    for _ in range(2):
        subprocess.run(["rm", "-rf", str(folder)], check=False, stderr=subprocess.DEVNULL)
        assert ask_all(server) == expected
    # Whole prefixes, not a block of each. What is believed to be there still is missed when it is asked for.
    assert wait_until(lambda: ask_all(server) == expected and num_files(folder) >= 24, 20), num_files(folder)
    read = count(server, "read")
    assert ask_all(server) == expected
    assert count(server, "read") > read
    assert count(server, "errors") == count(server, "damaged") == 0


def test_blocks_that_are_damaged_in_place(server, folder, expected):
    assert ask_all(server) == expected
    wait_for_files(folder)
    rng = random.Random(1)
    for path in list(folder.rglob("*.kv")):
        with open(path, "r+b") as file:
            at = rng.randrange(path.stat().st_size)
            byte = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 0xFF]), at)
    assert ask_all(server) == expected
    assert count(server, "damaged") > 0
    assert count(server, "errors") == 0


def test_a_clock_that_jumps(server, folder, faults, expected):
    assert ask_all(server) == expected
    wait_for_files(folder)
    read = count(server, "read")
    _, _, made = server.request("POST", "/v1/contexts", json.dumps({"prompt": PROMPTS[0], "ttl": 60}))
    context = json.loads(made)["id"]
    stop = threading.Event()

    def jump():
        while not stop.wait(0.1):
            faults.clock_offset_s = 3600 if faults.clock_offset_s <= 0 else -3600

    jumping = threading.Thread(target=jump)
    jumping.start()
    assert ask_all(server) == expected
    stop.set()
    jumping.join()
    assert count(server, "read") > read
    assert faults.num_clock_reads > 0
    assert server.request("GET", f"/v1/contexts/{context}")[0] == 200, "an hour ahead is no hour later"
    assert count(server, "errors") == count(server, "damaged") == count(server, "dropped") == 0


def test_a_disk_that_others_fill(binary, model, tmp_path, folder, expected):
    """A real one."""
    folder.mkdir()
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs", str(folder)], capture_output=True,
                                                       check=False).returncode != 0:
        pytest.skip("no right to mount a tmpfs")
    try:
        server = Server(binary, model, tmp_path / "log.json", *FLAGS, "--kv-disk", str(folder))
        assert ask_all(server) == expected
        before = stored_bytes(folder)
        with open(folder / "others", "ab", buffering=0) as others, pytest.raises(OSError, match="No space"):
            while True:
                others.write(bytes(1 << 16))
        assert ask_all(server) == expected
        assert wait_until(lambda: stored_bytes(folder) < before or count(server, "errors") > 0, 5), "others come first"
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
