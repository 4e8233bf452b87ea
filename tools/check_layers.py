#!/usr/bin/env python3
"""Check that every #include between rooms of src/ points upwards in src/layers.txt.

Usage: check_layers.py SRC_FOLDER. Exit status 1 and a line per offence when something points the wrong way.
"""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_0-9]+)/')


def read_layers(path):
    """{room: rooms it may include}, in file order; refuses a room that names one below it."""
    layers = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        room, _, uses = line.partition(":")
        uses = uses.split()
        below = [u for u in uses if u not in layers]
        if below:
            sys.exit(f"{path}:{number}: {room} names {', '.join(below)}, which does not stand above it")
        layers[room.strip()] = set(uses)
    return layers


def offences(src, layers):
    for folder in sorted(p for p in src.iterdir() if p.is_dir()):
        if folder.name not in layers:
            yield f"{folder.name}: a folder without a line in layers.txt"
            continue
        for file in sorted(folder.rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                room = match and match[1]
                if room in layers and room != folder.name and room not in layers[folder.name]:
                    yield f"{file}:{number}: {folder.name} may not include {room}"


def main():
    src = Path(sys.argv[1])
    layers = read_layers(src / "layers.txt")
    found = list(offences(src, layers))
    print("\n".join(found) or f"layers: {len(layers)} rooms, every include points upwards")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
