#!/usr/bin/env python3
"""clang-tidy over every source file: clang_tidy.py BUILD_FOLDER

Most of clang-tidy's time goes into headers, the same ones for each file of a room. So files that are compiled alike are checked
together, as one translation unit that includes them, in about half the time. Names of anonymous namespaces may then meet; files whose
names are seen to do so go to different units, and where a unit does not compile the files that do not fit are checked alone.
ccache remembers which units were clean.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLANG_TIDY = "clang-tidy-19"
COMPILER = str(ROOT / "tools/clang_tidy_compiler.sh")
FOLDERS = ("src", "tests", "fuzz")
FILES_AT_MOST = 12
UNITS_OPEN = 4
# What stands at the beginning of a line is at namespace scope. Too many names only make more units.
DECLARED = re.compile(r"^(?:#define\s+(\w+)|(?:[A-Za-z_][^=;{(]*?[\s&*>])?(\w+)\s*(?:\(|=|\{|\[|;|:\s|$))", re.MULTILINE)
NOT_NAMES = re.compile(r"namespace|autoglm|asio|final|using|[A-Z_]+")
FOUND = re.compile(r" (?:warning|error): ")
DOES_NOT_COMPILE = re.compile(r"^([^\s:]+):[0-9:]+ error: .*\[clang-diagnostic-", re.MULTILINE)


def compiled_files(build):
    """The files of src, tests and fuzz with the arguments that compile them, {arguments: [file, ...]}."""
    folders = tuple(f"{ROOT}/{folder}/" for folder in FOLDERS)
    groups = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = entry["file"]
        if not file.startswith(folders):
            continue
        arguments = shlex.split(entry["command"])
        compiler = next(i for i, argument in enumerate(arguments) if "clang++" in argument)
        arguments = arguments[compiler:]
        output = arguments.index("-o")
        arguments[output : output + 2] = []
        arguments.remove("-c")
        arguments.remove(file)
        groups.setdefault((tuple(arguments), entry["directory"]), []).append(file)
    return groups


def declared_names(file):
    found = DECLARED.findall(pathlib.Path(file).read_text())
    return {macro for macro, _ in found if macro} | {name for _, name in found if name and not NOT_NAMES.fullmatch(name)}


def batches(files):
    """Files in groups that share no name, each as full as it gets."""
    found = []
    for file in sorted(files):
        names = declared_names(file)
        for batch, taken in found[-UNITS_OPEN:]:  # not all: files of one room include the same
            if len(batch) < FILES_AT_MOST and not names & taken:
                batch.append(file)
                taken |= names
                break
        else:
            found.append(([file], set(names)))
    return [batch for batch, _ in found]


class Checker:
    def __init__(self, build):
        self.folder = build / "clang-tidy"
        self.folder.mkdir(exist_ok=True)
        version = subprocess.run([CLANG_TIDY, "--version"], check=True, capture_output=True, text=True).stdout
        self.environment = dict(
            os.environ, CCACHE_BASEDIR=str(ROOT), CCACHE_NOHASHDIR="1", CCACHE_COMPILERTYPE="clang", CCACHE_COMPILERCHECK=f"string:{version}",
            CCACHE_EXTRAFILES=f"{ROOT}/.clang-tidy:{COMPILER}", CCACHE_KEEPCOMMENTS_CPP="1")  # a NOLINT is a comment
        self.launcher = ["ccache"] if shutil.which("ccache") else []
        self.units = 0

    def check(self, name, files, arguments, directory):
        """What clang-tidy says of the files: the lines of its findings, empty when there are none."""
        source = files[0]
        if len(files) > 1:
            source = str(self.folder / f"{name}.cc")
            pathlib.Path(source).write_text("".join(f'#include "{file}"\n' for file in files))
        self.units += 1
        done = subprocess.run(
            [*self.launcher, COMPILER, *arguments[1:], "-c", source, "-o", str(self.folder / f"{name}.o")],
            cwd=directory, env=self.environment, capture_output=True, text=True)
        if done.returncode == 0:
            return ""
        findings = done.stderr or f"{source}: clang-tidy ended with {done.returncode} and said nothing\n"
        broken = {os.path.normpath(os.path.join(directory, file)) for file in DOES_NOT_COMPILE.findall(findings)}
        if len(files) == 1 or not broken:
            return findings
        alone = [file for file in files if file in broken]
        rest = [file for file in files if file not in broken]
        if not alone or not rest:  # headers may disagree, too
            half = len(files) // 2
            return self.check(name + "a", files[:half], arguments, directory) + self.check(name + "b", files[half:], arguments, directory)
        findings = self.check(name + "r", rest, arguments, directory)
        return findings + "".join(self.check(f"{name}_{i}", [file], arguments, directory) for i, file in enumerate(alone))


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    start = time.monotonic()
    checker = Checker(build)
    work = []
    for number, ((arguments, directory), files) in enumerate(sorted(compiled_files(build).items())):
        work += [(f"{number}_{i}", batch, arguments, directory) for i, batch in enumerate(batches(files))]
    work.sort(key=lambda unit: -len(unit[1]))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        findings = "".join(threads.map(lambda unit: checker.check(*unit), work))
    files = sum(len(unit[1]) for unit in work)
    checked = {file for unit in work for file in unit[1]}
    left_out = [str(file) for folder in FOLDERS for file in (ROOT / folder).rglob("*.cc") if str(file) not in checked]
    if left_out:
        sys.exit(f"clang-tidy: nothing compiles {', '.join(sorted(left_out))}")
    seconds = time.monotonic() - start
    if findings:
        print(findings)
        sys.exit(f"clang-tidy: {len(FOUND.findall(findings))} findings in {files} files")
    print(f"clang-tidy: {files} files in {checker.units} units, clean in {seconds:.0f} s")


if __name__ == "__main__":
    main()
