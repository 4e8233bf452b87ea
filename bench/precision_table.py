#!/usr/bin/env python3
"""What a precision costs: size, perplexity, distance to float32, speed; and how our quantisers compare with llama.cpp's.

    bench/precision_table.py --text FILE [--text FILE] [--rounds 3] [--llama-quantize PATH] [--out FILE.md]

The base is the model in float32 (`autoglm model quantize MODEL BASE --to f32`), written into each type from there. Perplexity: exact arithmetic, so
that it shows the weights alone, and fast arithmetic, as it is served. Speed: a prompt of about
900 tokens and an answer of 128, all types in turn, medians of the rounds. With --llama-quantize the same types are written by that program too
and measured by the same perplexity command.
"""
import argparse
import http.client
import json
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import add_common_arguments, autoglm, chat_body, check_files, machine, short

TYPES = ["f32", "f16", "bf16", "q8_0", "int8", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "iq4_nl", "q4_0"]
THEIR_NAMES = {"f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q6_k": "Q6_K", "q5_k": "Q5_K_M", "q5_1": "Q5_1", "q5_0": "Q5_0",
               "q4_k": "Q4_K_M", "q4_1": "Q4_1", "iq4_nl": "IQ4_NL", "q4_0": "Q4_0"}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


def quantise(options, source, target, to):
    run(options.binary, "model", "quantize", source, target, "--to", to)


def perplexity(options, model, text, *flags):
    out = run(options.binary, "model", "perplexity", model, "--text", text, "--threads", options.threads, *flags)
    return float(re.search(r"perplexity\s+([0-9.]+)", out)[1])


def speeds(options, model, log, *flags):
    """(prompt tokens a second, output tokens a second) of a server whose weights are all loaded"""
    with autoglm(options.binary, model, log, "--threads", str(options.threads), "--prepared-cache", "off", *flags) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

        def ask(prompt, tokens):
            start = time.perf_counter()
            connection.request("POST", "/v1/chat/completions", chat_body(prompt, tokens, stream=False), {"Content-Type": "application/json"})
            usage = json.loads(connection.getresponse().read())["usage"]
            return time.perf_counter() - start, usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]

        ask("Hello.", 1)
        prompt_s, prompt_tokens = ask(" ".join(f"{i} bottles hang on the wall," for i in range(100)), 1)
        short_s, long_s = ask("Count from one to a hundred.", 4)[0], ask("Count from one to a hundred.", 128)[0]
        return prompt_tokens / prompt_s, 124 / (long_s - short_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--text", type=Path, required=True, action="append", dest="texts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--llama-quantize", type=Path)
    parser.add_argument("--out", type=Path, default=Path("precision.md"))
    options = parser.parse_args()
    check_files(options.binary, options.model)

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        base = folder / "f32.gguf"
        quantise(options, options.model, base, "f32")
        models = {"f32": (base, [])}
        for name in TYPES[1:]:
            models[name] = (folder / f"{name}.gguf", [])
            quantise(options, base, models[name][0], name)
        models["f32 by --precision int8"] = (base, ["--precision", "int8"])

        exact, prefill, decode, fast = {}, {}, {}, {}
        for name, (path, flags) in models.items():
            exact[name] = [perplexity(options, path, text, "--arithmetic", "exact", *flags) for text in options.texts]
            fast[name] = perplexity(options, path, options.texts[-1], *flags)
        for i in range(options.rounds):
            for name, (path, flags) in models.items():
                for rates, rate in zip((prefill, decode), speeds(options, path, folder / "log", *flags)):
                    rates.setdefault(name, []).append(rate)
                print(f"round {i + 1}: {name}: {prefill[name][-1]:.0f} and {decode[name][-1]:.0f} tokens/s", flush=True)

        theirs = {}
        for name, their_name in THEIR_NAMES.items() if options.llama_quantize else ():
            path = folder / f"theirs-{name}.gguf"
            run(options.llama_quantize, base, path, their_name)
            theirs[name] = (path.stat().st_size, [perplexity(options, path, text, "--arithmetic", "exact") for text in options.texts])
            path.unlink()

        weights = int(json.loads(run(options.binary, "model", "info", base, "--json"))["parameters"])
        texts = [f"{name} {text.name}" for text in options.texts for name in ("perplexity of", "against f32,")]
        lines = [f"{options.model.name}; {machine()}; {options.threads} threads, {options.rounds} rounds in turn", "",
                 "| type | MB | bits a weight | " + " | ".join(texts) + " | fast arithmetic against exact | prefill, against q8_0 | decode, against q8_0 |",
                 "| --- | --- | --- |" + " --- |" * (len(texts) + 3)]
        for name, (path, flags) in models.items():
            size = path.stat().st_size
            ratio = lambda rates: statistics.median(a / b for a, b in zip(rates[name], rates["q8_0"]))
            stored = f"{size / 1048576:.0f} | {size * 8 / weights:.2f}" if not flags else "as f32 | 8.3 in memory"
            values = " | ".join(f"{value:.3f} | {100 * (value / base_value - 1):+.2f} %" for value, base_value in zip(exact[name], exact["f32"]))
            lines.append(f"| {name} | {stored} | {values} | {100 * (fast[name] / exact[name][-1] - 1):+.2f} % | {short(ratio(prefill))} | "
                         f"{short(ratio(decode))} |")
        if theirs:
            lines += ["", "| type | our bytes / theirs | " + " | ".join(f"perplexity of {t.name}, ours / theirs" for t in options.texts) + " |",
                      "| --- | --- |" + " --- |" * len(options.texts)]
        for name, (size, values) in theirs.items():
            ratios = " | ".join(f"{own:.3f} / {other:.3f} = {own / other:.4f}" for own, other in zip(exact[name], values))
            lines.append(f"| {name} | {models[name][0].stat().st_size / size:.3f} | {ratios} |")
        options.out.write_text("\n".join(lines) + "\n")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
