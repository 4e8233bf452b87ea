#!/usr/bin/env python3
"""Write quants.safetensors: random rows of every tensor type as bytes, and what they mean as float32, by the package gguf.

Usage: make_quants.py   (pip install numpy gguf; writes beside this script; the same bytes every time)

For each type T of TYPES: `T.bytes` [2, row bytes] and `T.values` [2, 512] float32: two rows of random blocks, whose
scales are ordinary in the first row and extreme in the second: subnormal, zero, negative, the largest half.
For each type of QUANTIZERS, which the package can also make: `T.quantized` [rows, row bytes], from `source` [rows, 512].
"""
import json
import struct
from pathlib import Path

import gguf
import numpy as np

COLUMNS = 512
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]
QUANTIZERS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
HALVES_AT = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
             "IQ4_NL": [0]}
EXTREMES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]


def random_rows(random, name):
    """[2, row bytes] as uint8."""
    qtype = gguf.GGMLQuantizationType[name]
    elements, block_bytes = gguf.GGML_QUANT_SIZES[qtype]
    if name == "F32":
        return random.standard_normal((2, COLUMNS)).astype(np.float32).view(np.uint8)
    if name in ("F16", "BF16"):
        largest_exponent = 0x7C00 if name == "F16" else 0x7F80
        bits = random.integers(0, 65536, (2, COLUMNS), dtype=np.uint16)
        bits[(bits & largest_exponent) == largest_exponent] = 1  # no infinities, no NaNs
        return bits.view(np.uint8)
    blocks = random.integers(0, 256, (2, COLUMNS // elements, block_bytes), dtype=np.uint8)
    for at in HALVES_AT[name]:
        shape = blocks.shape[1]
        ordinary = random.uniform(-0.02, 0.02, shape).astype(np.float16)
        extreme = random.choice(EXTREMES, shape).astype(np.uint16)
        blocks[0, :, at : at + 2] = ordinary.view(np.uint8).reshape(-1, 2)
        blocks[1, :, at : at + 2] = extreme.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(2, -1)


def source_rows(random):
    gaussian = random.standard_normal((2, COLUMNS)) * 0.02
    heavy_tailed = random.standard_t(3, (1, COLUMNS)) * 0.02
    zeros = np.zeros((1, COLUMNS))
    return np.concatenate([gaussian, heavy_tailed, zeros]).astype(np.float32)


def write_safetensors(path, arrays):
    names = {np.dtype(np.uint8): "U8", np.dtype(np.float32): "F32"}
    header, data = {}, b""
    for name, array in arrays.items():
        begin = len(data)
        data += array.tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    random = np.random.default_rng(20261125)
    arrays = {}
    for name in TYPES:
        rows = random_rows(random, name)
        arrays[f"{name}.bytes"] = rows
        arrays[f"{name}.values"] = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[name])
    source = source_rows(random)
    arrays["source"] = source
    for name in QUANTIZERS:
        arrays[f"{name}.quantized"] = gguf.quants.quantize(source, gguf.GGMLQuantizationType[name]).view(np.uint8)
    write_safetensors(Path(__file__).parent / "quants.safetensors", arrays)


if __name__ == "__main__":
    main()
