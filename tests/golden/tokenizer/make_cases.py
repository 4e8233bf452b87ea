#!/usr/bin/env python3
"""Makes cases.json: what Hugging Face's `tokenizers` and Python's unicodedata say about some texts.

  python3 make_cases.py        needs tokenizers and gguf (pip); writes cases.json beside this script

  pieces   the pieces of each pre-tokenizer, by name as in tokenizer.ggml.pre
  nfc      texts and their normalisation form C
  toy      token ids of ../gguf/llama.gguf's tokenizer

Characters are limited to those that Python's own Unicode version knows, since newer tables class newer letters otherwise.
"""
import json
import random
import unicodedata
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = CL100K.replace("{1,3}", "")

TEXTS = [
    "", " ", "  ", "   x", "a  b", "a   \n  b", "\n\n\n", "\r\n\r\n x", " \n \n a", "x \t\n", "tabs\tand\nnewlines\n\n  x",
    "Hello, world!", " leading", "trailing ", "don't I'll we've YOU'RE it'S", "'s's'T'", "'\u017f", "1234567 3.14 42",
    "12  34", "a1b22c333d4444", "½ ² Ⅷ ٣٤ ४५", "naïve café", "e\u0301a\u0323\u0307", "你好，世界！", "日本語テキスト", "한국어 텍스트",
    "مرحبا بالعالم", "emoji 👍🏽 👨‍👩‍👧 ok", "a\u00a0b\u3000c\u0085d\u2028e", "\u180ea \u180e b", "\u200bzero\u200b width",
    "...!!!???\n\n", "    indented code();\n\treturn 0;\n", "\x00x\x1c\x1f", "snake_case CamelCase", "http://a.b/c?d=e#f", "x=1;\r\n",
    "<|im_start|>user\nhi<|im_end|>\n", "<bos>a<eos>", "#$%^&*()", " 's", "\u00b4s \u2019s",
]
RANGES = [(0x20, 0x7e)] * 5 + [(0, 0x7f), (0x80, 0x2ff), (0x300, 0x36f), (0x370, 0x5ff), (0x600, 0x6ff), (0x900, 0x9ff), (0xe00, 0xe7f),
                               (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x24ff), (0x2e80, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3),
                               (0xf900, 0xffff), (0x10000, 0x1ffff), (0x20000, 0x2ffff), (0xe0000, 0x10ffff)]
ATOMS = ["'s", "'RE", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "123", "½", "the", " quick", "e\u0301", "\u0323\u0307",
         "\u1100\u1161\u11a8", "👍🏽"]


def random_text(rng):
    text = ""
    for _ in range(rng.randrange(1, 12)):
        if rng.random() < 0.4:
            text += rng.choice(ATOMS)
            continue
        first, last = rng.choice(RANGES)
        some = (chr(rng.randint(first, last)) for _ in range(rng.randrange(1, 5)))
        text += "".join(c for c in some if unicodedata.category(c) not in ("Cn", "Cs"))
    return text


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def toy_tokenizer(path):
    fields = gguf.GGUFReader(path).fields
    tokens, merges, types = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "merges", "token_type"))
    toy = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges]))
    toy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    toy.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    return toy


def main():
    here = Path(__file__).resolve().parent
    rng = random.Random(20240607)
    texts = TEXTS + [random_text(rng) for _ in range(80)]
    cutters = {"gpt-2": split(GPT2), "llama-bpe": split(CL100K), "qwen2": split(QWEN2),
               "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), split(GPT2)])}
    toy = toy_tokenizer(here.parent / "gguf" / "llama.gguf")
    cases = {
        "pieces": {name: [{"text": t, "pieces": [piece for piece, _ in cutter.pre_tokenize_str(t)]} for t in texts]
                   for name, cutter in cutters.items()},
        "nfc": [{"text": t, "nfc": unicodedata.normalize("NFC", t)} for t in texts + [unicodedata.normalize("NFD", t) for t in texts]],
        "toy": [{"text": t, "ids": toy.encode(t, add_special_tokens=False).ids} for t in texts],
    }
    (here / "cases.json").write_text(json.dumps(cases, indent=0, separators=(",", ":")) + "\n")


main()
