#!/usr/bin/env python3
"""What do drafts from the prompt gain, and what do they cost where nothing repeats?

    bench/speculation.py [--rounds 5] [--model MODEL.gguf] [--out FILE.md]

Two servers of the same binary, one with --speculation off, answer the same prompts in turn, one request at a time, at temperature 0
and at 0.8 with a seed. Answers must be equal to the letter. Reported is the time from the first token to the last, off divided by
on: above 1, drafts are faster.
"""
import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from common import add_common_arguments, autoglm, check_files, machine, version_of

TEXT = """The lighthouse stood at the end of a long and narrow spit of sand, and in winter the sea came over it twice a day. The
keeper, a man of few words, kept a log of every ship that passed. On the third of March he wrote: "Two barques and a schooner,
heading north. Wind from the south-west, rising. The schooner had lost her topmast." Nobody had asked him to do so, and nobody read
it, but he had begun it in his first year and saw no reason to stop. When the light was made automatic he moved into the village
and took the forty-one volumes with him in a cart."""
CODE = """class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance
        self.history = []

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        self.history.append(("deposit", amount))

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError("not enough money")
        self.balance -= amount
        self.history.append(("withdraw", amount))
"""
WORK = {
    "repeat a text": ("repeats", f"The text:\n\n{TEXT}\n\nThe text once more, word for word:\n\nThe lighthouse stood", 160),
    "edit code": ("repeats", f"```python\n{CODE}```\n\nThe same class, renamed to Wallet:\n\n```python\nclass Wallet:\n", 160),
    "quote while summarising": ("repeats", f"{TEXT}\n\nQuestion: What did the keeper write on the third of March?\nAnswer: He wrote: \"Two",
                                64),
    "a story": ("free", "Once upon a time, in a country where it never rained,", 160),
    "a letter": ("free", "Dear Margaret,\n\nYou asked me how the journey was, and", 160),
    "an explanation": ("free", "Photosynthesis is the process by which", 160),
}


def ask(server, prompt, max_tokens, sampling):
    """The text of an answer and the seconds from its first token to its last."""
    body = {"model": "m", "prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True, **sampling}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    text, first, last = "", None, None
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        for line in connection.getresponse():
            if not line.startswith(b"data: {"):
                continue
            last = time.perf_counter()
            first = first or last
            event = json.loads(line[6:])
            if "choices" not in event:
                sys.exit(f"the server refused: {event}")
            text += "".join(choice["text"] for choice in event["choices"])
    finally:
        connection.close()
    return text, last - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary, a.model)

    def start(speculation):
        return autoglm(a.binary, a.model, folder / f"{speculation}.log", "--served-model-name", "m", "--threads", a.threads,
                       "--speculation", speculation)

    folder = Path(tempfile.mkdtemp(prefix="autoglm-speculation-"))
    servers = {"auto": start("auto"), "off": start("off")}
    ratios = {}
    try:
        for label, sampling in (("temperature 0", {"temperature": 0}), ("temperature 0.8", {"temperature": 0.8, "seed": 7})):
            for name, (kind, prompt, max_tokens) in WORK.items():
                seconds = {"auto": [], "off": []}
                for round_number in range(a.rounds + 1):
                    answers = {}
                    for mode in ("auto", "off") if round_number % 2 else ("off", "auto"):
                        answers[mode], taken = ask(servers[mode], prompt, max_tokens, sampling)
                        if round_number > 0:  # the first one fills the prefix cache
                            seconds[mode].append(taken)
                    if answers["auto"] != answers["off"]:
                        sys.exit(f"{name}, {label}: the answers differ\n{answers['auto']!r}\n{answers['off']!r}")
                ratios[label, name, kind] = sorted(off / on for off, on in zip(seconds["off"], seconds["auto"]))
    finally:
        for server in servers.values():
            server.stop()

    facts = machine()
    lines = [f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}; {version_of(a.binary)}; {a.model.name}, {a.threads} threads, "
             f"{a.rounds} rounds.", "", "| work | sampling | off / on, median | range |", "| --- | --- | --- | --- |"]
    for (label, name, _), values in ratios.items():
        lines.append(f"| {name} | {label} | {statistics.median(values):.2f} | {values[0]:.2f}-{values[-1]:.2f} |")
    for kind, words in (("repeats", "text that repeats the prompt"), ("free", "free prose")):
        medians = [statistics.median(v) for (_, _, k), v in ratios.items() if k == kind]
        lines.append(f"| all of {words} | | {statistics.geometric_mean(medians):.2f} | {min(medians):.2f}-{max(medians):.2f} |")
    print("\n".join(lines))
    if a.out:
        a.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
