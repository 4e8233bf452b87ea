#!/usr/bin/env python3
"""Write the inputs that the fuzzers of model files start from: small files that use every part of the format, and broken ones.

Usage: make_corpus.py [FOLDER], by default fuzz/corpus beside this script; writes FOLDER/gguf and FOLDER/safetensors.
"""
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


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "corpus"
    write(folder / "gguf", "gguf", gguf_inputs())
    write(folder / "safetensors", "safetensors", safetensors_inputs())


if __name__ == "__main__":
    main()
