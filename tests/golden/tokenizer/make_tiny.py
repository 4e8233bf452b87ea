#!/usr/bin/env python3
"""Trains tiny tokenizers of every kind with the libraries that models use, and writes what they make of some texts.

Usage: make_tiny.py [FOLDER], by default tests/golden/tokenizer/tiny beside this script.
Needs: pip install tokenizers sentencepiece tiktoken    (made with 0.23.3, 0.2.3, 0.14.0)

Each folder: the tokenizer's own files and cases.json, a list of {"text", "ids", "decoded"}. Special tokens are parsed.
"""
import base64
import json
import random
import sys
from pathlib import Path

import sentencepiece
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = ("the lighthouse keeper climbed narrow stairs every evening at six and wrote down weather in a small book wind from "
         "west light rain degrees then he lit lamp waited for night don't we'll I've naïve café Übermut 你好 世界 日本語 привет мир").split()
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
TEXTS = ["", " ", "  ", "the lighthouse", " the  lighthouse keeper ", "Don't we'll I've", "1234567 3.14 ½ Ⅷ", "naïve café", "cafe\u0301",
         "你好，世界！", "日本語", "emoji 👍🏽 ok", "tabs\tand\n\nnewlines\r\n  x", "a\u00a0b\u3000c\u180ed\u0085e", "▁the▁night", "\u0000x",
         "the<end>night", "<end>", "<end><end> the <end>", "x <pad> y", "think <think> about </think> it", "word sop philosophy sop",
         "...!!!???", "    indented();\n\treturn 0;\n", "привет мир", "theлighthouse", "\ufffd", "nightnightnight" * 8]
SPECIALS = [AddedToken("<pad>", special=True, normalized=False), AddedToken("<end>", special=True, normalized=False),
            AddedToken("<think>", special=False, normalized=False)]


def corpus(seed=7, lines=3000):
    rng = random.Random(seed)
    for _ in range(lines):
        words = [rng.choice(WORDS) if rng.random() < 0.9 else str(rng.randrange(10000)) for _ in range(rng.randrange(3, 12))]
        yield rng.choice([" ", " ", " ", "  ", "\n"]).join(words) + rng.choice([".", "!", "?\n", ""])


def write(folder, encode, decode, extra=()):
    cases = []
    for text in [*TEXTS, *extra]:
        ids = encode(text)
        cases.append({"text": text, "ids": ids, "decoded": decode(ids)})
    (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")


def hugging_face(folder, tokenizer, trainer, pairs=True, extra=()):
    tokenizer.train_from_iterator(corpus(), trainer)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    if not pairs:  # the older way to write merges
        data = json.loads(path.read_text())
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        path.write_text(json.dumps(data, ensure_ascii=False))
        tokenizer = Tokenizer.from_file(str(path))
    write(folder, lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
          lambda ids: tokenizer.decode(ids, skip_special_tokens=True), extra)


def byte_level(folder, split, pairs=True, ignore_merges=False, normalizer=None, specials=SPECIALS, size=600, extra=()):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[t for t in specials if t.special],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.add_tokens([t for t in specials if not t.special])
    hugging_face(folder, tokenizer, trainer, pairs, extra)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior, invert),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def characters(folder, normalizer, decoder, pre_tokenizer=None, byte_fallback=True, size=700):
    tokenizer = Tokenizer(models.BPE(byte_fallback=byte_fallback, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoder
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Split(" ", "merged_with_previous")
    specials = [AddedToken("<unk>", special=True, normalized=False), *[t for t in SPECIALS if t.special]]
    names = specials + [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else specials
    # Trained on words, as SentencePiece does; used without a pre-tokenizer that cuts.
    training = pre_tokenizers.Metaspace(prepend_scheme="never")
    used, tokenizer.pre_tokenizer = tokenizer.pre_tokenizer, training
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=names, show_progress=False))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.pre_tokenizer = used
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", tokenizer.token_to_id("<pad>"))])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
          lambda ids: tokenizer.decode(ids, skip_special_tokens=True))


def gemma_like(folder):
    characters(folder, normalizers.Replace(" ", "▁"),
               decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))


def llama2_like(folder):
    characters(folder, normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
               decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))


def metaspace(folder):
    characters(folder, None, decoders.Metaspace(prepend_scheme="first"), pre_tokenizers.Metaspace(prepend_scheme="first"), False)


def stripping(folder):
    specials = [AddedToken("<pad>", special=True, normalized=False, rstrip=True), AddedToken("<end>", special=True, normalized=False, lstrip=True),
                AddedToken("sop", special=True, normalized=False, single_word=True)]
    byte_level(folder, split(CL100K), specials=specials, extra=["a \u3000 <end>  b", "<pad> \n x", "sopsop sop.sop _sop"])


def sentencepiece_model(folder, prefix, extra=False):
    text = folder / "corpus.txt"
    text.write_text("\n".join(corpus()))
    rules = {"normalization_rule_name": "identity"}
    if extra:  # NFKC's own map takes 240 KB
        rules = {"normalization_rule_tsv": str(folder / "rules.tsv")}
        pairs = {"ﬁ": "fi", "①": "1", "Ａ": "A", "㌔": "キロ", "e\u0301": "é", "\n": " ", "\t": " ", "\u3000": " ", "\u180e": "", "...": "…"}
        hexadecimal = lambda text: " ".join(f"{ord(c):X}" for c in text)
        (folder / "rules.tsv").write_text("".join(f"{hexadecimal(a)}\t{hexadecimal(b)}\n" for a, b in pairs.items()))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=900, model_type="bpe", byte_fallback=True,
        **rules, add_dummy_prefix=prefix, remove_extra_whitespaces=extra, num_threads=1,
        user_defined_symbols=["<think>"] if extra else ["▁▁", "\n\n", "<think>"], control_symbols=["<pad>", "<end>"], minloglevel=2)
    text.unlink()
    (folder / "rules.tsv").unlink(missing_ok=True)
    (folder / "tokenizer.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    # SentencePiece never parses control symbols in a text, so texts with one are left to unit tests.
    global TEXTS
    dropped = ["<end>", "<pad>", "\0"] + (["<think>"] if extra else [])  # spaces at the ends of a stretch are not those of the text
    kept, TEXTS = TEXTS, [text for text in TEXTS if not any(one in text for one in dropped)] + (["ﬁne ①② Ａ１  ㌔"] if extra else [])
    write(folder, processor.encode, processor.decode)
    TEXTS = kept


def tiktoken_file(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split(CL100K)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                                show_progress=False))
    byte_of = {c: b for b, c in enumerate_bytes()}
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ranks = {bytes(byte_of[c] for c in spelling): rank for spelling, rank in by_id}
    (folder / "tokenizer.model").write_text("".join(f"{base64.b64encode(t).decode()} {r}\n" for t, r in ranks.items()))
    specials = {"<pad>": len(ranks), "<end>": len(ranks) + 1, "[gMASK]": len(ranks) + 3}
    config = {"added_tokens_decoder": {str(i): {"content": t, "special": True} for t, i in specials.items()}, "eos_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    encoding = tiktoken.Encoding("tiny", pat_str=CL100K, mergeable_ranks=ranks, special_tokens=specials)
    ordinary = [i for i in range(len(ranks))]
    write(folder, lambda text: encoding.encode(text, allowed_special="all"),
          lambda ids: encoding.decode([i for i in ids if i in set(ordinary)]))


def enumerate_bytes():
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return [(b, chr(b) if b in plain else chr(256 + others.index(b))) for b in range(256)]


KINDS = {
    "gpt2": lambda f: byte_level(f, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "prefix": lambda f: byte_level(f, pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "cl100k": lambda f: byte_level(f, split(CL100K), pairs=False, ignore_merges=True),
    "qwen2": lambda f: byte_level(f, split(QWEN2), normalizer=normalizers.NFC()),
    "smollm": lambda f: byte_level(f, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                                pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "removed": lambda f: byte_level(f, split(r"\s+|e", "removed")),
    "previous": lambda f: byte_level(f, split(r"\s|t", "merged_with_previous")),
    "next": lambda f: byte_level(f, split(r"\s|t", "merged_with_next")),
    "contiguous": lambda f: byte_level(f, split(r"\s|t", "contiguous")),
    "inverted": lambda f: byte_level(f, split(r"\w+|[^\w\s]+", "removed", True)),
    "stripping": stripping,
    "gemma": gemma_like,
    "llama2": llama2_like,
    "metaspace": metaspace,
    "spm": lambda f: sentencepiece_model(f, False),
    "spm_prefix": lambda f: sentencepiece_model(f, True),
    "spm_map": lambda f: sentencepiece_model(f, True, True),
    "tiktoken": tiktoken_file,
}


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "tiny"
    for name, make in KINDS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        make(root / name)


if __name__ == "__main__":
    main()
