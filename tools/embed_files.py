#!/usr/bin/env python3
"""Writes a C++ file that holds other files: embed_files.py OUT.cc FILE..."""

import sys
from pathlib import Path

PIECE = 8192  # bytes; compilers bound the length of one literal


def literal(data: bytes) -> str:
    pieces = []
    for start in range(0, len(data), PIECE):
        text = "".join(
            chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
            for byte in data[start : start + PIECE]
        )
        pieces.append(f'    "{text}"')
    return "\n".join(pieces) or '    ""'


def main() -> None:
    out, files = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    parts = ['#include "console/console_assets.h"\n\nnamespace autoglm {\nnamespace {\n']
    for number, file in enumerate(files):
        data = file.read_bytes()
        parts.append(f"constexpr std::string_view kFile{number}(\n{literal(data)},\n    {len(data)});\n")
    parts.append("constexpr ConsoleAsset kAssets[] = {")
    parts += [f'    {{"{file.name}", kFile{number}}},' for number, file in enumerate(files)]
    parts.append("};\n\n}  // namespace\n\nstd::span<const ConsoleAsset> ConsoleAssets() { return kAssets; }\n\n}  // namespace autoglm\n")
    out.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
