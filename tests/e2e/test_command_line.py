"""The commands a person types, run as they are."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from serving import wait_until

ROOT_COMMANDS = ["serve", "chat", "keys", "model"]
MODEL_COMMANDS = ["info", "perplexity", "logits", "tokenize", "template"]


def perplexity(autoglm, model, text, *flags):
    result = autoglm("model", "perplexity", model, "--text", text, *flags)
    assert result.returncode == 0, result.stderr
    return float(re.search(r"perplexity\s+([\d.]+)", result.stdout)[1])


@pytest.fixture(scope="module")
def reference():
    return json.loads((Path(__file__).parents[1] / "golden/smollm2/expected.json").read_text())


@pytest.fixture(scope="module")
def text_file(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(reference["text"])
    return path


@pytest.mark.parametrize("command", [[], *[[c] for c in ROOT_COMMANDS], *[["model", c] for c in MODEL_COMMANDS]], ids=" ".join)
def test_every_command_has_help(autoglm, command):
    result = autoglm(*command, "--help")
    assert result.returncode == 0
    assert "autoglm" in result.stdout
    if command and command not in (["model"], ["keys"]):
        assert "Example" in result.stdout


def test_version_is_one_line(autoglm):
    assert re.fullmatch(r"autoglm \d+\.\d+\.\d+.*\n", autoglm("--version").stdout)


def test_an_unknown_command_or_option_is_refused(autoglm, model):
    for arguments in (["dance"], ["serve", model, "--prot", "1"], ["model", "info"], ["serve", model, "--port", "many"]):
        result = autoglm(*arguments)
        assert result.returncode not in (0, -6, -11)
        assert result.stderr and not result.stdout


def test_model_info_tells_architecture_and_context(autoglm, model):
    assert "llama" in autoglm("model", "info", model).stdout
    info = json.loads(autoglm("model", "info", model, "--json").stdout)
    assert info["architecture"] == "llama"


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100, b"GGUF\x03\x00\x00\x00" + b"\xff" * 64],
                         ids=["empty", "cut", "text", "hostile"])
@pytest.mark.parametrize("command", [["model", "info"], ["model", "tokenize"], ["serve"]], ids=" ".join)
def test_a_file_that_is_no_model_is_refused(autoglm, tmp_path, command, content):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    result = autoglm(*command, path, input="")
    assert result.returncode not in (0, -6, -11)
    assert "bad.gguf" in result.stderr


def test_a_missing_file_is_named(autoglm):
    result = autoglm("serve", "/nowhere/model.gguf")
    assert result.returncode not in (0, -6, -11)
    assert "/nowhere/model.gguf" in result.stderr


def test_tokenize_gives_the_reference_ids(autoglm, model, reference):
    result = autoglm("model", "tokenize", model, "--ids", "--text", reference["text"])
    assert [int(i) for i in result.stdout.split(",")] == reference["text_ids"]


def test_template_renders_the_models_own_chat_format(autoglm, model, reference):
    context = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "add_generation_prompt": True}
    assert autoglm("model", "template", model, "--context", "-", input=json.dumps(context)).stdout == reference["chat_prompt"]


def test_logits_are_a_json_line_per_position(autoglm, model):
    result = autoglm("model", "logits", model, "--tokens", "1,2,3")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["position"], line["token"]) for line in lines] == [(0, 1), (1, 2), (2, 3)]
    assert {len(line["logits"]) for line in lines} == {49152}


def test_greedy_logits_follow_the_reference(autoglm, model, reference):
    """As far as the reference's own margin is clear."""
    case = reference["plain"]
    clear = next((i for i, gap in enumerate(case["greedy_gaps"]) if gap < 0.5), len(case["greedy"]))
    tokens = case["input_ids"] + case["greedy"][:clear]
    result = autoglm("model", "logits", model, "--tokens", ",".join(map(str, tokens)), "--arithmetic", "exact")
    rows = [json.loads(line)["logits"] for line in result.stdout.splitlines()]
    best = [row.index(max(row)) for row in rows[len(case["input_ids"]) - 1 :]]
    assert best[:clear] == case["greedy"][:clear]
    assert clear > 0


def test_perplexity_matches_the_reference(autoglm, model, reference, text_file):
    expected = reference["perplexity"]
    assert perplexity(autoglm, model, text_file, "--arithmetic", "exact") == pytest.approx(expected, rel=0.005)
    assert perplexity(autoglm, model, text_file, "--arithmetic", "fast") == pytest.approx(expected, rel=0.02)


def test_the_number_of_threads_does_not_change_a_single_bit(autoglm, model):
    one, two = (autoglm("model", "logits", model, "--tokens", "504,3575,282,4649,314", "--threads", n).stdout for n in (1, 2))
    assert one == two
    assert one


def test_bench_engine_gives_every_result_as_a_share_of_the_limit(autoglm, model):
    flags = ["--prefill", "16,64", "--decode", "8", "--batch", "1,3", "--depth", "0,32", "--repetitions", "2"]
    answer = json.loads(autoglm("bench", "engine", model, *flags, "--json").stdout)
    assert all(peak > 0 for peak in answer["peaks"].values())
    results = [(r["kind"], r["tokens"], r["batch"], r["depth"]) for r in answer["results"]]
    assert results == [("prefill", 16, 1, 0), ("prefill", 64, 1, 0), ("decode", 8, 1, 0), ("decode", 8, 3, 0), ("decode", 8, 1, 32),
                       ("decode", 8, 3, 32)]
    for r in answer["results"]:
        assert r["tokens_per_s_min"] <= r["tokens_per_s"] <= r["tokens_per_s_max"] and len(r["samples"]) == 2
        assert r["share_of_limit"] == pytest.approx(r["tokens_per_s"] / r["limit_tokens_per_s"])
    table = autoglm("bench", "engine", model, "--prefill", "16", "--decode", "0", "--repetitions", "1").stdout
    assert re.search(r"prefill +16 +1 +0 .* % of (compute|memory)", table)


def test_bench_engine_refuses_what_the_model_cannot_hold(autoglm, model):
    result = autoglm("bench", "engine", model, "--prefill", "1000000")
    assert result.returncode == 1
    assert "a prefill of 1000000 needs 1000000 tokens of context" in result.stderr
    result = autoglm("bench", "engine", model, "--batch", "1,0")
    assert result.returncode == 2
    assert "--batch: must be a whole number from 1 to 4096, not '0'" in result.stderr


def test_the_configuration_file_and_the_flags_mean_the_same(start_server, tmp_path):
    config = tmp_path / "autoglm.yaml"
    config.write_text("context: 512\nserved_model_name: parrot\n")
    server = start_server("--config", str(config))
    assert "parrot" in [m.id for m in server.client().models.list()]


def test_a_mistake_in_the_configuration_file_is_shown_with_its_line(autoglm, model, tmp_path):
    config = tmp_path / "autoglm.yaml"
    config.write_text("context: 512\nprot: 8080\n")
    result = autoglm("serve", model, "--config", config)
    assert result.returncode not in (0, -6, -11)
    assert f"{config}:2" in result.stderr


def open_files(pid):
    """{descriptor: what it is}"""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(link.name)] = os.readlink(link)
        except FileNotFoundError:
            pass
    return found


@pytest.mark.parametrize("stream", [0, 1, 2], ids=["stdin", "stdout", "stderr"])
def test_the_number_of_a_closed_standard_stream_is_taken_by_nothing(binary, model, stream):
    null = subprocess.DEVNULL
    shell = ["sh", "-c", f'exec "$@" {stream}>&-', "sh", str(binary), "serve", str(model), "--port", "0"]
    process = subprocess.Popen(shell, stdin=null, stdout=null, stderr=null)
    try:
        assert wait_until(lambda: any(f.startswith("socket:") for f in open_files(process.pid).values()), 30)
        assert open_files(process.pid)[stream] == "/dev/null"
    finally:
        process.terminate()
        process.wait(30)


def test_a_quantised_model_answers(autoglm, model, tmp_path):
    target = tmp_path / "q8_0.gguf"
    done = autoglm("model", "quantize", model, target, "--to", "q8_0")
    assert done.returncode == 0 and "bits a weight" in done.stdout
    answer = autoglm("chat", target, "--temperature", "0", "--prepared-cache", "off", input="What is the capital of France? Answer in one word.\n")
    assert "Paris" in answer.stdout
    refused = autoglm("model", "quantize", model, target, "--to", "q4_0")
    assert refused.returncode == 1 and "--force" in refused.stderr
