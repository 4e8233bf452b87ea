#!/usr/bin/env python3
"""Writes the Grafana boards: generate.py [FOLDER], by default grafana/dashboards beside this file."""
import json
import sys
from pathlib import Path

from boards import cache, engine, gateway, nodes, overview, slo

FOLDER = Path(__file__).parent / "grafana/dashboards"
BOARDS = {"overview": overview, "engine": engine, "gateway": gateway, "slo": slo, "cache": cache, "nodes": nodes}


def rendered():
    """{file name: text} of every board."""
    return {f"{name}.json": json.dumps(module.BOARD, indent=1, sort_keys=True) + "\n" for name, module in BOARDS.items()}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
