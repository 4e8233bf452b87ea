#!/usr/bin/env python3
"""Write the inputs that the fuzzers of files start from: small files that use every part of a format, and broken ones.

Usage: make_corpus.py [FOLDER], by default fuzz/corpus beside this script; writes gateway_config, gguf, safetensors, tokenizer_json and
tokenizer_model in it.
"""
import base64
import json
import struct
import sys
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}
BLOCKS = {  # type id: elements, bytes of a block
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 12: (256, 144), 13: (256, 176),
    14: (256, 210), 20: (32, 18), 30: (1, 2),
}


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def item(kind, value):
    return string(value) if kind == STRING else struct.pack("<" + FORMATS[kind], value)


def scalar(key, kind, value):
    return string(key) + struct.pack("<I", kind) + item(kind, value)


def array(key, kind, values):
    return string(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(item(kind, v) for v in values)


def tensor_bytes(type_id, dims):
    elements, size = BLOCKS.get(type_id, (1, 1))
    count = 1
    for dim in dims:
        count *= dim
    return count // elements * size


def gguf(values=(), tensors=(), version=3, alignment=32):
    infos, data = b"", b""
    for name, type_id, dims in tensors:
        infos += string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id, len(data))
        data += bytes(range(1, 256)) * (tensor_bytes(type_id, dims) // 255) + b"\3" * (tensor_bytes(type_id, dims) % 255)
        data += bytes(-len(data) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values)) + b"".join(values) + infos
    return head + bytes(-len(head) % alignment) + data


def byte_characters():
    """The 256 characters that stand for the bytes in a byte-level vocabulary, in the order of the bytes."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) if b in plain else chr(256 + others.index(b)) for b in range(256)]


def sentencepiece_values():
    tokens = ["<unk>", "<s>", "</s>", *[f"<0x{b:02X}>" for b in range(256)], "\u2581", "a", "\u2581a", "aa", "\u2581\u2581"]
    return [
        scalar("general.architecture", STRING, "llama"),
        scalar("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.token_type", I32, [2, 3, 3] + [6] * 256 + [1, 1, 1, 5, 4]),
        array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
        scalar("tokenizer.ggml.bos_token_id", U32, 1),
        scalar("tokenizer.ggml.eos_token_id", U32, 2),
        scalar("tokenizer.ggml.unknown_token_id", U32, 0),
        scalar("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def tokenizer_values():
    tokens = ["<bos>", "<eos>", *byte_characters(), "ab", "abc"]
    return [
        scalar("general.architecture", STRING, "llama"),
        scalar("tokenizer.ggml.model", STRING, "gpt2"),
        scalar("tokenizer.ggml.pre", STRING, "gpt-2"),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.token_type", I32, [3, 3] + [1] * 258),
        array("tokenizer.ggml.merges", STRING, ["a b", "ab c"]),
        scalar("tokenizer.ggml.bos_token_id", U32, 0),
        scalar("tokenizer.ggml.eos_token_id", U32, 1),
        scalar("tokenizer.ggml.add_bos_token", BOOL, False),
    ]


def gguf_inputs():
    values = [scalar(f"k{kind}", kind, "text" if kind == STRING else 1) for kind in [*FORMATS, STRING]]
    lists = [array(f"a{kind}", kind, ["", "text"] if kind == STRING else [0, 1]) for kind in [*FORMATS, STRING]]
    tensors = [(f"blk.0.t{type_id}.weight", type_id, [max(64, BLOCKS.get(type_id, (1, 1))[0]), 2]) for type_id in [*BLOCKS, 99]]
    aligned = [scalar("general.alignment", U32, 64)]
    yield "empty_v2", gguf(version=2)
    yield "scalars", gguf(values)
    yield "lists", gguf(lists)
    yield "tensors", gguf(tensors=tensors)
    yield "dimensions", gguf(tensors=[(f"d{n}", 0, [2] * n) for n in range(1, 5)])
    yield "alignment", gguf(aligned, [("a", 0, [3]), ("b", 1, [5])], alignment=64)
    yield "tokenizer", gguf(tokenizer_values())
    yield "sentencepiece", gguf(sentencepiece_values())
    yield "truncated", gguf(values, tensors)[:-100]
    yield "twice", gguf([values[0], values[0]])
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "huge_counts", b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 2**64 - 1)
    yield "huge_list", gguf([string("k") + struct.pack("<IIQ", ARRAY, U64, 2**61)])


def safetensors(header, data=b"", pad=8):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % pad)
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_inputs():
    whole = {
        "__metadata__": {"format": "pt"},
        "a.weight": entry("BF16", [2, 4], 0, 16),
        "b.bias": entry("F32", [3], 16, 28),
        "c": entry("F16", [1, 2, 1], 28, 32),
        "ids": entry("I64", [1], 32, 40),
        "scalar": entry("F32", [], 40, 44),
        "nothing": entry("F32", [0, 3], 44, 44),
    }
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1}
    types, position = {}, 0
    for name, size in sizes.items():
        types[name] = entry(name, [3], position, position + 3 * size)
        position += 3 * size
    yield "whole", safetensors(whole, bytes(44))
    yield "types", safetensors(types, bytes(position))
    yield "empty", safetensors({})
    yield "metadata", safetensors({"__metadata__": {"a": "b", "c": "\u00e4\n"}})
    yield "truncated", safetensors(whole, bytes(43))
    yield "overlap", safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
    yield "hole", safetensors({"a": entry("U8", [4], 4, 8)}, bytes(8))
    yield "huge_shape", safetensors({"a": entry("F32", [2**32, 2**31], 0, 8)}, bytes(8))
    yield "huge_header", struct.pack("<Q", 2**63) + b"{}"
    yield "twice", safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}')
    yield "deep", safetensors(b"[" * 64)


def write(folder, extension, inputs):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in inputs:
        (folder / f"{name}.{extension}").write_bytes(data)
def split(pattern, behavior="Isolated", kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": False}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}


def tokenizer_json(vocab=("a", "b", "ab", "<e>"), merges=(("a", "b"),), normalizer=None, pre_tokenizer=None, decoder=None, **model):
    ids = {token: i for i, token in enumerate(vocab)}
    added = [{"id": ids[t], "content": t, "special": True, "lstrip": True, "rstrip": True, "single_word": True} for t in vocab if t[0] == "<"][:1]
    text = {"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "decoder": decoder,
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<e>"}}, {"Sequence": {"id": "A"}}]},
            "model": {"type": "BPE", "vocab": ids, "merges": merges, **model}}
    return json.dumps(text).encode()


def tokenizer_json_inputs():
    spelled = ["<e>", *byte_characters(), "ab"]
    marked = ["<e>", "<unk>", "\u2581", "a", "b", "\u2581a", *[f"<0x{b:02X}>" for b in range(256)]]
    yield "plain", tokenizer_json()
    yield "byte_level", tokenizer_json(spelled, ["a b"], {"type": "NFC"}, BYTE_LEVEL, {"type": "ByteLevel"}, ignore_merges=True)
    yield "marks", tokenizer_json(marked, [["\u2581", "a"]], MARKS, split(" ", "MergedWithPrevious", "String"),
                                  {"type": "Sequence", "decoders": [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                                  byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    yield "metaspace", tokenizer_json(marked, [], None, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})
    for behavior in ("Removed", "MergedWithNext", "Contiguous"):
        steps = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, split(r"\s+|[^\s\p{L}]", behavior)]}
        yield behavior.lower(), tokenizer_json(pre_tokenizer=steps)
    yield "hostile_pattern", tokenizer_json(pre_tokenizer=split("(a+)+$"))
    yield "hostile_recursion", tokenizer_json(pre_tokenizer=split("(a|(?R))*b|(?=a\\K)"))
    yield "hostile_repeats", tokenizer_json(pre_tokenizer=split("((a{1000}){1000}){1000}"))
    yield "hostile_ids", tokenizer_json().replace(b'"ab": 2', b'"ab": 2000000000')
    yield "hostile_merges", tokenizer_json(merges=[["a", "ab"], ["ab", "ab"], ["zz", ""]])
    yield "hostile_depth", b'{"model":' + b"[" * 200


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field, value):
    return varint(field << 3) + varint(value)


def piece(text, score=0.0, kind=1):
    return message(1, message(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))


def tokenizer_model_inputs():
    head = piece("<unk>", kind=2) + piece("<s>", kind=3) + piece("</s>", kind=3) + b"".join(piece(f"<0x{b:02X}>", kind=6) for b in range(256))
    words = piece("\u2581", -9) + piece("a", -8) + piece("aa", -1) + piece("aaa", -2, 5) + piece("aaaa", -3) + piece("\u2581\u2581", 0, 4)
    tail = message(2, number(3, 2) + number(40, 0) + number(41, 1) + number(42, 2))
    identity = message(3, message(1, b"identity") + number(3, 1) + number(4, 0))
    yield "sentencepiece", head + words + tail + identity
    yield "unigram", head + words + message(2, number(3, 1)) + identity
    yield "character_map", head + tail + message(3, message(2, b"map"))
    yield "hostile_length", head + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    yield "hostile_score", head + piece("x", float("nan")) + tail + identity
    yield "hostile_id", head + message(2, number(3, 2) + number(40, 2**63)) + identity
    tokens = [bytes([b]) for b in range(256)] + [b"aa", b"aaa", b"aaaa"]
    yield "tiktoken", b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    yield "tiktoken_gap", b"YQ== 0\nYg== 9\n"


def gateway_inputs():
    routes = "routes: [{upstreams: [http://a]}]\n"
    example = (Path(__file__).parent.parent / "deploy" / "gateway.example.yaml").read_text()
    yield "example", example.replace("${", "$${").encode()
    yield "smallest", routes.encode()
    yield "traffic", (routes + "hedging: {quantile: 0.9, window: 1m}\nretries: {on: [500], budget: {min: 1}}\nhealth: {slow_start: 0}\n").encode()
    yield "discovery", b"routes: [{discovery: [{file: a}, {dns: 'a:1', like: {context: 1-2}}, {kubernetes: {service: a}}]}]\n"
    yield "references", b"routes: [{name: a, upstreams: [u], fallback: b, mirror: [b]}, {name: b, upstreams: [u]}]\nupstreams: {u: http://a}\n"
    yield "circle", b"routes: [{name: a, upstreams: [http://a], fallback: b}, {name: b, upstreams: [http://a], fallback: a}]\n"
    yield "list", b"- http://a:1/\n- {url: 'https://[::1]:1', engine: vllm, models: [a, b], tls: {verify: off}}\n"
    yield "environment", b"region: ${HOME}${NO_SUCH_VARIABLE}$${}\n"
    yield "hostile_aliases", ("a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i-1}, *a{i-1}]\n" for i in range(1, 30))).encode()
    yield "hostile_circle", b"routes: &a [*a]\n"
    yield "hostile_depth", b"a: " + b"[" * 1000
    yield "hostile_comma", b"- http://a\n,"
    yield "hostile_bytes", b"a: \xff\n\x04: \0\n"


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "corpus"
    write(folder / "gguf", "gguf", gguf_inputs())
    write(folder / "gateway_config", "yaml", gateway_inputs())
    write(folder / "safetensors", "safetensors", safetensors_inputs())
    write(folder / "tokenizer_json", "json", tokenizer_json_inputs())
    write(folder / "tokenizer_model", "model", tokenizer_model_inputs())


if __name__ == "__main__":
    main()
