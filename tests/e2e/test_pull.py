"""Fetching models from a hub: `autoglm model pull`, and references in place of paths."""
import os
import re
import resource
import signal
import subprocess
import time

import pytest
from local_hub import LocalHub

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def hub():
    local = LocalHub()
    local.files = {"README.md": b"# Model\n", "model.gguf": CONTENT}
    yield local
    local.stop()


@pytest.fixture
def autoglm_with(binary, hub, tmp_path):
    """Runs the binary with an empty store and this hub."""

    def environment(**more):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.lower().endswith("_proxy")}
        return clean | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url} | more

    def run(*arguments, **more):
        command = [str(binary), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**more))

    run.environment = environment
    run.store = tmp_path / "cache/autoglm/models"
    return run


def pull(run, reference, **more):
    done = run("model", "pull", reference, **more)
    assert done.returncode == 0, done.stderr
    return done


def parts(run):
    return list(run.store.rglob("*.part"))


@pytest.mark.parametrize("reference", ["hf:org/model", "hf:org/model:model.gguf", "ms:org/model:model.gguf", "ms:org/model"])
def test_what_is_fetched_is_what_the_hub_has(hub, autoglm_with, reference):
    done = pull(autoglm_with, reference)
    path = done.stdout.strip()
    with open(path, "rb") as file:
        assert file.read() == CONTENT
    assert "100 % of 3 MB" in done.stderr
    assert not parts(autoglm_with)


def test_a_complete_model_is_used_without_the_hub(hub, autoglm_with):
    first = pull(autoglm_with, "hf:org/model").stdout
    hub.stop()
    assert pull(autoglm_with, "hf:org/model").stdout == first


def test_a_folder_comes_with_all_it_needs_page_by_page(hub, autoglm_with):
    hub.files = {"config.json": b"{}", "tokenizer.json": b"{ }", "model-1.safetensors": b"a" * 1000, "model-2.safetensors": b"b" * 1000,
                 "model.safetensors.index.json": b"[]", "pytorch_model.bin": b"c", "onnx/model.onnx": b"d"}
    hub.page_size = 2
    folder = autoglm_with.store / "hf/org/model/main"
    assert pull(autoglm_with, "hf:org/model").stdout.strip() == str(folder)
    assert {p.name for p in folder.iterdir()} == {"config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors",
                                                  "model.safetensors.index.json", ".autoglm.json", ".lock"}


def test_a_killed_pull_goes_on_where_it_stopped(hub, autoglm_with, binary):
    hub.delay_s = 0.02
    process = subprocess.Popen([binary, "model", "pull", "hf:org/model"], env=autoglm_with.environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not any(p.stat().st_size > 500_000 for p in parts(autoglm_with)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    have = parts(autoglm_with)[0].stat().st_size
    assert 0 < have < len(CONTENT)
    hub.delay_s = 0
    hub.requests.clear()
    path = pull(autoglm_with, "hf:org/model").stdout.strip()
    assert open(path, "rb").read() == CONTENT
    assert [r[3].get("Range") for r in hub.downloads()] == [f"bytes={have}-"]


def test_ctrl_c_keeps_what_has_come_and_says_so(hub, autoglm_with, binary):
    hub.delay_s = 0.02
    process = subprocess.Popen([binary, "model", "pull", "hf:org/model"], env=autoglm_with.environment(), stderr=subprocess.PIPE, text=True)
    while not any(p.stat().st_size > 200_000 for p in parts(autoglm_with)):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "goes on where this one stopped" in process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert parts(autoglm_with)


def test_a_connection_that_breaks_is_taken_up_again(hub, autoglm_with):
    hub.cut_after = 1_000_000
    path = pull(autoglm_with, "hf:org/model").stdout.strip()
    assert open(path, "rb").read() == CONTENT
    assert [r[3].get("Range") for r in hub.downloads()] == [None, "bytes=1000000-"]


def test_a_hub_without_ranges_sends_everything_again(hub, autoglm_with):
    hub.cut_after, hub.heeds_ranges = 1_000_000, False
    assert open(pull(autoglm_with, "hf:org/model").stdout.strip(), "rb").read() == CONTENT


def test_a_busy_hub_is_asked_again(hub, autoglm_with):
    hub.failures, hub.list_failures = [503, 429], [502]
    assert pull(autoglm_with, "hf:org/model").stderr.count("trying again") == 3


def test_ctrl_c_ends_the_wait_for_a_hub_that_does_not_answer(hub, autoglm_with, binary):
    hub.stalls = True
    process = subprocess.Popen([binary, "model", "pull", "hf:org/model"], env=autoglm_with.environment(), stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert "stopped" in process.communicate(timeout=20)[1]
    assert time.monotonic() - started < 5
    hub.stalls = False


def test_damage_is_noticed_and_removed(hub, autoglm_with):
    hub.damaged = True
    done = autoglm_with("model", "pull", "hf:org/model")
    assert done.returncode == 1
    assert "checksum" in done.stderr
    assert not parts(autoglm_with) and not list(autoglm_with.store.rglob("*.gguf"))
    hub.damaged = False
    pull(autoglm_with, "hf:org/model")


def test_the_token_goes_to_the_hub_and_not_along_with_redirects(hub, autoglm_with):
    hub.token = "secret"
    done = autoglm_with("model", "pull", "hf:org/model")
    assert done.returncode == 1 and "HF_TOKEN" in done.stderr
    pull(autoglm_with, "hf:org/model", HF_TOKEN="secret")
    assert all("Authorization" not in r[3] for r in hub.downloads())
    assert any(r[3].get("Authorization") == "Bearer secret" for r in hub.requests)


def test_two_pulls_at_once_wait_for_each_other(hub, autoglm_with, binary):
    hub.delay_s = 0.01
    command = [binary, "model", "pull", "hf:org/model"]
    both = [subprocess.Popen(command, env=autoglm_with.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [p.communicate(timeout=60) for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sum("another process is fetching" in err for _, err in outputs) == 1
    assert len(hub.downloads()) == 1


def test_unknown_models_files_and_choices_are_explained(hub, autoglm_with):
    def refused(reference):
        done = autoglm_with("model", "pull", reference)
        assert done.returncode == 1
        return done.stderr

    assert "404" in refused("hf:org/other")
    assert "has no file missing.gguf" in refused("hf:org/model:missing.gguf")
    hub.files["second.gguf"] = b"x"
    assert re.search(r"hf:org/model:model.gguf.*hf:org/model:second.gguf", refused("hf:org/model"))
    assert "hf:ORG/REPO" in refused("hf:org")
    done = autoglm_with("model", "pull", "hf:org/model", HF_ENDPOINT="ftp://example.org")
    assert done.returncode == 1 and "HF_ENDPOINT" in done.stderr


def test_a_hostile_listing_writes_nothing_outside(hub, autoglm_with, tmp_path):
    hub.listing = [{"type": "file", "path": path, "size": 5} for path in ("../../../escape.gguf", "/tmp/escape.gguf", ".hidden.gguf")]
    done = autoglm_with("model", "pull", "hf:org/model")
    assert done.returncode == 1
    assert not list(tmp_path.rglob("*escape*")) and not list(tmp_path.rglob("*hidden*"))
    hub.listing = {"error": "x" * 100}
    assert autoglm_with("model", "pull", "hf:org/model").returncode == 1
    hub.listing = [{"type": "file", "path": "model.gguf", "size": 5}]  # less than comes
    assert "more than the 5 bytes" in autoglm_with("model", "pull", "hf:org/model").stderr
    hub.listing = [{"type": "file", "path": "model.gguf", "size": 1 << 43}]
    assert "are needed" in autoglm_with("model", "pull", "hf:org/model").stderr


def test_a_full_disk_is_an_error_and_the_part_stays(hub, autoglm_with, binary):
    limit = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    done = subprocess.run([binary, "model", "pull", "hf:org/model"], env=autoglm_with.environment(), capture_output=True, text=True,
                          preexec_fn=limit, timeout=60)
    assert done.returncode == 1 and "cannot write" in done.stderr
    assert parts(autoglm_with)
    pull(autoglm_with, "hf:org/model")


def test_models_are_listed_and_removed(hub, autoglm_with):
    assert "no models" in autoglm_with("model", "list").stderr
    pull(autoglm_with, "hf:org/model:model.gguf")
    assert re.search(r"hf:org/model:model.gguf +3.0 MiB", autoglm_with("model", "list").stdout)
    assert autoglm_with("model", "remove", "hf:org/model:model.gguf").returncode == 0
    assert autoglm_with("model", "remove", "hf:org/model:model.gguf").returncode == 1
    assert not list(autoglm_with.store.rglob("*.gguf"))


def test_a_reference_takes_the_place_of_a_path(hub, autoglm_with, model):
    hub.files = {"smol.gguf": model.read_bytes()}
    done = autoglm_with("chat", "hf:org/model", "--temperature", "0", "--prepared-cache", "off")
    assert done.returncode == 0, done.stderr
    info = autoglm_with("model", "info", "hf:org/model")
    assert "llama (GGUF v3)" in info.stdout
